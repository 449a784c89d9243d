"use strict";
/* The photo with the map on it, and small helpers to write texts and elements. */

const $ = id => document.getElementById(id);
const all = selector => [...document.querySelectorAll(selector)];

// --- texts ---------------------------------------------------------------------------------------

// a number with four digits of the largest one of its group, so that columns line up
function number(x, largest = x) {
  const size = Math.abs(largest) > 0 ? Math.floor(Math.log10(Math.abs(largest))) : 0;
  const text = Math.abs(x).toFixed(Math.min(Math.max(3 - size, 0), 6));
  return x < 0 && Number(text) > 0 ? `−${text}` : text;
}

function signed(x, largest) {
  return x < 0 ? `− ${number(-x, largest)}` : `+ ${number(x, largest)}`;
}

function percent(p) {
  return p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`;
}

function place(cell) {
  return `(${cell % W}, ${Math.floor(cell / W)})`;
}

// names come from files: they are set as text, never as HTML
function show(texts) {
  for (const [key, text] of Object.entries(texts)) {
    for (const element of all(`[data-show="${key}"]`)) element.textContent = text;
  }
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function shape(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// --- colours -------------------------------------------------------------------------------------

const FOR = [214, 40, 28], AGAINST = [22, 103, 200], FIRES = [255, 170, 0];

// red, green, blue and alpha: the larger the value, the less of the photo shows through
function colourOf(value, limit, positive) {
  const strength = limit > 0 ? Math.min(1, Math.abs(value) / limit) : 0;
  return [...(value < 0 ? AGAINST : positive), Math.round(235 * strength ** 0.7)];
}

function image([width, height], colour) {
  const canvas = make("canvas", { width, height }), context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set(colour(i), 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// --- the picture ---------------------------------------------------------------------------------

// what is painted: the unit that is pointed at, or else the map
function painting(d) {
  if (lit.k !== null) {
    const values = unit(lit.k), limit = largestSize(values);
    return { key: `unit ${lit.k}`, values, limit, colour: value => colourOf(value, limit, FIRES) };
  }
  const key = [d.key, state.step, state.side, state.against];
  return { key, values: shownMap(d), limit: data.scale, colour: value => colourOf(value, data.scale, FOR) };
}

let painted = "";

function drawPicture(d) {
  const canvas = $("map"), { key, values, colour } = painting(d);
  const pixels = side => Math.max(1, Math.round(side * devicePixelRatio));
  const size = [pixels(canvas.clientWidth), pixels(canvas.clientHeight)];
  const plain = state.view === "photo" && lit.k === null;
  const kept = state.step === "box" && lit.k === null ? keptAt(d, state.t) : null;
  const now = [key, size, state.view, kept && state.t].join(";");
  $("picture").classList.toggle("plain", plain);
  if (now === painted) return;
  painted = now;
  [canvas.width, canvas.height] = size;
  if (plain) return;
  const context = canvas.getContext("2d");
  context.scale(size[0] / photo[0], size[1] / photo[1]);  // from here on in the photo's pixels
  const [left, top, right, bottom] = data.seen, seen = [left, top, right - left, bottom - top];
  if (kept) context.drawImage(keptImage(kept, laidMap(d), colour), ...seen);
  else if (state.view === "smooth" && lit.k === null) {
    const laid = layOnSeen(values);
    context.drawImage(image(grid, i => colour(laid[i])), ...seen);
  } else {
    context.rect(...seen);
    context.clip();
    values.forEach((value, cell) => {
      const [red, green, blue, alpha] = colour(value);
      context.fillStyle = `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
      context.fillRect(...cellRectangle(cell));
    });
  }
}

// what a threshold keeps: the largest component in the map's colours, the others pale, the rest dark
function keptImage({ label, number }, laid, colour) {
  return image(grid, i => {
    if (!label[i]) return [0, 0, 0, 120];
    return label[i] === number ? colour(laid[i]) : [...FOR, 40];
  });
}

// x, y, width and height of a cell, in the photo's pixels
function cellRectangle(cell) {
  const [left, top, right, bottom] = data.cells, width = (right - left) / W, height = (bottom - top) / H;
  return [left + (cell % W) * width, top + Math.floor(cell / W) * height, width, height];
}

function drawMarks(d) {
  const [left, top, right, bottom] = data.view;
  const outside = `M0 0H${photo[0]}V${photo[1]}H0ZM${left} ${top}H${right}V${bottom}H${left}Z`;
  $("marks").replaceChildren(shape("path", { class: "outside", "fill-rule": "evenodd", d: outside }));
  const mark = ([x, y, width, height], kind) => {
    for (const kindOrCasing of ["casing", kind]) {
      $("marks").append(shape("rect", { x, y, width, height, class: kindOrCasing }));
    }
  };
  if (state.step === "box") {
    const boxesShown = { found: keptAt(d, state.t).box, truth: state.truth };
    if (state.truth) boxesShown.centre = centreBox(photo, data.centre);
    for (const [kind, box] of Object.entries(boxesShown)) {
      if (box) mark([box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1], kind);
    }
    return;
  }
  if (strongestShare) {  // of the unit that is pointed at, or of the ten that matter most
    const units = lit.k === null ? topUnits(d.parts, 10, d.on) : [lit.k];
    for (const cell of new Set(units.map(k => strongestCell[k]))) mark(cellRectangle(cell), "counts");
  }
  mark(cellRectangle(currentCell(d)), "cursor");
}

function drawLegend(d) {
  const { colour, limit } = painting(d), canvas = $("legend"), context = canvas.getContext("2d");
  const low = lit.k === null ? -limit : 0, printed = value => (lit.k === null ? sumForm(value) : value);
  const colours = image([canvas.width, 1], i => colour(low + (limit - low) * (i + 0.5) / canvas.width));
  context.clearRect(0, 0, canvas.width, 1);
  context.drawImage(colours, 0, 0);
  show({
    "legend-low": number(printed(low), printed(limit)), "legend-zero": low ? "0" : "",
    "legend-high": `${low ? "+" : ""}${number(printed(limit))}`,
  });
}

function drawCaption(d) {
  const cell = currentCell(d), values = shownMap(d);
  $("caption").textContent = caption(cell, number(sumForm(values[cell]), sumForm(data.scale)));
  const highest = largestSize(values);
  const beyond = lit.k === null && state.step !== "box" && highest > data.scale * 1.0005;
  $("beyond").textContent = beyond
    ? `The strongest value here, ${number(sumForm(highest))}, lies beyond the end of the scale.` : "";
  const taking = sum(d.on);
  $("silenced").hidden = taking === K;
  show({ silenced: `${taking} of ${K} units take part: these are not the network's own numbers.` });
}

function caption(cell, value) {
  const A = nameOf(state.c), B = nameOf(state.against);
  if (lit.k !== null) return `Unit ${lit.k}: amber where it fires, at most ${number(largest(unit(lit.k)))}.`;
  if (state.step === "box") {
    return "Red: what exceeds the threshold; pale: all but the largest component. Solid line: its box."
      + (state.truth ? " Dashed: the true box. Dotted: the centre box." : "");
  }
  if (state.step === "classes") {
    const shown = { a: A, b: B, difference: `${A} minus ${B}` }[state.side];
    return `The map of ${shown}. Cell ${place(cell)}: ${value}.`;
  }
  return `Cell ${place(cell)}: ${value}. Red is evidence for ${A}, blue is evidence against it.`;
}
