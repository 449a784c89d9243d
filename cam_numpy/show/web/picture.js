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

// what stays the same is not written again: a screen reader would read it out
function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// names come from files: they are set as text, never as HTML
function show(texts) {
  for (const [key, text] of Object.entries(texts)) {
    for (const element of all(`[data-show="${key}"]`)) write(element, text);
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

const FIRES = [255, 170, 0], STRIPES = "rgba(33, 102, 172, .65)";
const MAP_WEIGHT = 153;  // of 255: how much of the map lies over the photo, as in the figures
const palette = Uint8Array.from(atob(data.palette), letter => letter.charCodeAt(0));

// Red, green, blue and alpha of evidence: the diverging colours of cam_numpy/show/colours.py, on a linear
// scale from -limit to limit.
function evidenceColour(value, limit, alpha = MAP_WEIGHT) {
  const position = limit > 0 ? (value + limit) * (255 / (2 * limit)) : 127.5;
  const i = 3 * rint(Math.min(Math.max(position, 0), 255));
  return [palette[i], palette[i + 1], palette[i + 2], alpha];
}

// of an activation: the larger it is, the less of what lies below shows through
function firingColour(value, limit) {
  const strength = limit > 0 ? Math.min(1, Math.max(0, value / limit)) : 0;
  return [...FIRES, Math.round(235 * strength ** 0.7)];
}

// below 0 by more than what rounding does
const isBelowZero = (value, limit) => value < -1e-6 * limit;

function image([width, height], colour) {
  const canvas = make("canvas", { width, height }), context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set(colour(i), 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function pixelsOnScreen({ clientWidth, clientHeight }) {
  return [clientWidth, clientHeight].map(side => Math.max(1, Math.round(side * devicePixelRatio)));
}

// Stripes over a whole canvas: near 0 a colour is too pale to tell its sign.
function drawStripes(context) {
  const { width, height } = context.canvas, gap = 8 * devicePixelRatio;
  context.beginPath();
  for (let x = -height; x < width; x += gap) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.strokeStyle = STRIPES;
  context.lineWidth = devicePixelRatio;
  context.stroke();
}

// --- the picture ---------------------------------------------------------------------------------

// what is painted: the unit that is pointed at, or else the map
function painting(d) {
  const k = shownUnit();
  if (k !== null) {
    const values = unit(k), limit = largestSize(values);
    return { k, key: `unit ${k}`, values, limit, colour: value => firingColour(value, limit) };
  }
  const key = [d.key, state.step, state.side, state.against];
  const limit = data.scale, colour = value => evidenceColour(value, limit);
  return { k, key, values: shownMap(d), limit, colour };
}

let painted = "";

function drawPicture(d) {
  const canvas = $("map"), { k, key, values, limit, colour } = painting(d);
  const size = pixelsOnScreen(canvas);
  const plain = state.view === "photo" && k === null;
  const kept = state.step === "box" && k === null ? keptAt(d, state.t) : null;
  const now = [key, size, state.view, kept && state.t].join(";");
  $("picture").classList.toggle("plain", plain);
  if (now === painted) return;
  painted = now;
  [canvas.width, canvas.height] = size;
  if (plain) return;
  const context = canvas.getContext("2d");
  context.scale(size[0] / photo[0], size[1] / photo[1]);  // from here on in the photo's pixels
  const [left, top, right, bottom] = data.seen, seen = [left, top, right - left, bottom - top];
  context.rect(...seen);
  context.clip();
  if (kept) {
    context.drawImage(keptImage(kept, laidMap(d)), ...seen);
    return;
  }
  const smooth = state.view === "smooth" && k === null;
  const [shown, sides, where] = smooth ? [layOnSeen(values), grid, seen] : [values, [W, H], allCells()];
  context.imageSmoothingEnabled = smooth;
  context.drawImage(image(sides, i => colour(shown[i])), ...where);
  if (k === null) {
    const below = image(sides, i => [0, 0, 0, isBelowZero(shown[i], limit) ? 255 : 0]);
    stripe(context, below, where);
  }
}

// stripes where a mask is opaque that lies at the rectangle `where`
function stripe(context, mask, where) {
  const layer = make("canvas", { width: context.canvas.width, height: context.canvas.height });
  const onLayer = layer.getContext("2d");
  onLayer.imageSmoothingEnabled = context.imageSmoothingEnabled;
  onLayer.setTransform(context.getTransform());
  onLayer.drawImage(mask, ...where);
  onLayer.resetTransform();
  onLayer.globalCompositeOperation = "source-in";
  drawStripes(onLayer);
  context.resetTransform();
  context.drawImage(layer, 0, 0);
}

// what a threshold keeps: the largest component in the map's colours, the others pale, the rest dark
function keptImage({ label, number }, laid) {
  return image(grid, i => {
    if (!label[i]) return [0, 0, 0, 150];
    return evidenceColour(laid[i], data.scale, label[i] === number ? MAP_WEIGHT : 40);
  });
}

// the rectangle of all cells: x, y, width and height, in the photo's pixels
function allCells() {
  const [left, top, right, bottom] = data.cells;
  return [left, top, right - left, bottom - top];
}

// x, y, width and height of a cell, in the photo's pixels
function cellRectangle(cell) {
  const [left, top, ...sides] = allCells(), width = sides[0] / W, height = sides[1] / H;
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
    const k = shownUnit(), units = k === null ? topUnits(d.parts, 10, d.on) : [k];
    for (const cell of new Set(units.map(k => strongestCell[k]))) mark(cellRectangle(cell), "counts");
  }
  mark(cellRectangle(currentCell(d)), "cursor");
}

function drawLegend(d) {
  const { k, colour, limit } = painting(d), canvas = $("legend"), context = canvas.getContext("2d");
  const low = k === null ? -limit : 0, printed = value => (k === null ? sumForm(value) : value);
  [canvas.width, canvas.height] = pixelsOnScreen(canvas);
  const value = i => low + (limit - low) * (i + 0.5) / canvas.width;
  context.drawImage(image([canvas.width, 1], i => colour(value(i))), 0, 0, canvas.width, canvas.height);
  if (low) {
    context.rect(0, 0, canvas.width / 2, canvas.height);
    context.clip();
    drawStripes(context);
  }
  show({
    "legend-low": number(printed(low), printed(limit)), "legend-zero": low ? "0" : "",
    "legend-high": `${low ? "+" : ""}${number(printed(limit))}`,
  });
}

function drawCaption(d) {
  const cell = currentCell(d), values = shownMap(d);
  const value = number(sumForm(values[cell]), sumForm(data.scale));
  write($("caption"), caption(d, `Cell ${place(cell)}: ${value}.`));
  const highest = largestSize(values);
  const beyond = shownUnit() === null && state.step !== "box" && highest > data.scale * 1.0005;
  $("beyond").textContent = beyond
    ? `The strongest value here, ${number(sumForm(highest))}, lies beyond the end of the scale.` : "";
  const taking = d.on.filter((on, k) => on && !data.silent.includes(k)).length, whole = sum(d.on) === K;
  show({
    silenced: taking === K ? `All ${K} units take part.`
      : `${taking} of ${K} units take part: these are not the network's own numbers.`,
    verdict: verdict(whole),
  });
  $("use-all").hidden = whole;
}

// What the network says of the photo. It is not computed anew where units are silenced on the page.
function verdict(whole) {
  const best = ranking[0], before = data.silent.length ? "with all other units, " : "with all units, ";
  const said = data.doubt ?? `its best class is ${nameOf(best)}, ${percent(probabilities(ownS)[best])}`;
  const sentence = (whole ? "" : before) + said;
  return `${sentence[0].toUpperCase()}${sentence.slice(1)}.`;
}

function caption(d, cell) {
  const A = nameOf(state.c), B = nameOf(state.against), k = shownUnit();
  if (k !== null) return `Unit ${k}: amber where it fires, at most ${number(largest(unit(k)))}.`;
  if (state.step === "units" && lit.k !== null) {
    const [now, other] = d.on[lit.k] ? ["with", "without"] : ["without", "with"];
    return `The map ${now} unit ${lit.k}. ${cell} ` + (d.on[lit.k] || state.silent.includes(lit.k)
      ? `Press the unit again to see the map ${other} it.` : `It is not among the first ${state.n} units.`);
  }
  if (state.step === "box") {
    return "In colour: the largest component above the threshold. Pale: the other components. Dark: what is "
      + "not above it. Solid line: the box."
      + (state.truth ? " Dashed: the true box. Dotted: the centre box." : "");
  }
  if (state.step === "classes") {
    const [shown, red, blue] = {
      a: [A, `for ${A}`, "against it"], b: [B, `for ${B}`, "against it"],
      difference: [`${A} minus ${B}`, `for ${A}`, `for ${B}`],
    }[state.side];
    return `The map of ${shown}. ${cell} Red is evidence ${red}; blue with stripes, ${blue}.`;
  }
  return `${cell} Red is evidence for ${A}; blue with stripes, against it.`;
}
