"use strict";
/* What happens on the page. Events change `state` or `lit`, and `render` writes everything anew. */

// --- symbols -------------------------------------------------------------------------------------

// A symbol is written once, in the glossary: `data-symbol` puts it in a text, and `data-equation` puts
// several in a line, each as a button that says what it is.
function writeSymbols() {
  const symbol = name => document.querySelector(`[data-name="${name}"]`);
  const math = name => (symbol(name).querySelector("math") ?? symbol(name)).cloneNode(true);
  for (const element of all("[data-symbol]")) element.append(math(element.dataset.symbol));
  for (const equation of all("[data-equation]")) {
    for (const token of equation.dataset.equation.split(" ")) {
      if (!symbol(token)) equation.append(make("span", { textContent: token }));
      else if (symbol(token).localName === "math") equation.append(math(token));
      else {
        const button = make("button", { className: "symbol" }, math(token));
        button.dataset.lights = button.dataset.explain = token;
        equation.append(button);
      }
    }
  }
}

// what the symbol means that was pointed at last, in this step
function writeMeaning() {
  const shown = all(`dl [data-name="${lit.symbol}"] dd`).find(meaning => meaning.offsetParent);
  const meaning = shown?.innerText.replace(/\s+/g, " ") ?? "Point at a symbol to read what it means.";
  for (const element of all(".what")) write(element, meaning);
}

// Light up what belongs to the symbol or the unit under the pointer or the focus, wherever it stands.
function light(target) {
  const near = selector => target?.closest?.(selector)?.dataset;
  document.body.dataset.lit = near("[data-lights]")?.lights ?? "";
  const k = near("[data-k]") ? Number(near("[data-k]").k) : null;
  point({
    k, pressed: k === lit.pressed ? k : null, symbol: near("[data-explain]")?.explain ?? lit.symbol,
  });
}

// --- choosing a class ----------------------------------------------------------------------------

const MOST_FOUND = 40;

function fillChooser(chooser) {
  const query = chooser.querySelector("input").value.trim().toLowerCase(), d = derive();
  const fits = c => !query || data.classes[c].toLowerCase().includes(query) || String(c) === query;
  const lines = ranked(d.S).filter(fits).slice(0, query ? MOST_FOUND : 10).map(c => {
    const button = make("button", { title: `class ${c}` },
      make("span", { className: "name", textContent: data.classes[c] || nameOf(c) }),
      make("span", { className: "faint", textContent: percent(d.P[c]) }));
    button.dataset.choose = c;
    return make("li", {}, button);
  });
  const none = make("li", { className: "faint", textContent: "No class has this in its name." });
  chooser.querySelector("ul").replaceChildren(...(lines.length ? lines : [none]));
}

function wireChooser(id, choose) {
  const chooser = $(id), input = chooser.querySelector("input"), summary = chooser.querySelector("summary");
  const close = () => {
    chooser.open = false;
    summary.focus();
  };
  const take = button => {
    close();
    choose(Number(button.dataset.choose));
  };
  chooser.addEventListener("toggle", () => {
    if (!chooser.open) return;
    input.value = "";
    fillChooser(chooser);
    input.focus();
  });
  input.addEventListener("input", () => fillChooser(chooser));
  chooser.addEventListener("click", event => {
    const button = event.target.closest("[data-choose]");
    if (button) take(button);
  });
  chooser.addEventListener("keydown", event => {
    const stops = [input, ...chooser.querySelectorAll("[data-choose]")];
    const at = stops.indexOf(document.activeElement), step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && at >= 0) stops[Math.min(Math.max(at + step, 0), stops.length - 1)].focus();
    else if (event.key === "Enter" && at === 0 && stops[1]) take(stops[1]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  document.addEventListener("pointerdown", event => {
    if (!chooser.contains(event.target)) chooser.open = false;
  });
  chooser.addEventListener("focusout", event => {  // with Tab
    if (event.relatedTarget && !chooser.contains(event.relatedTarget)) chooser.open = false;
  });
}

// --- what the buttons do -------------------------------------------------------------------------

const chooseClass = c => set({ c, n: K });

// by the attribute that a button has: data-view="smooth" sets the view
const SETTERS = {
  step: step => set({ step }),
  view: view => set({ view }),
  side: side => set({ side }),
  sumForm: sum => set({ sum: Number(sum) }),
  class: c => chooseClass(Number(c)),
};

// by the word of data-do, with a number behind it where one is needed: data-do="cell 17"
const ACTIONS = {
  "strongest": d => set({ cell: argmax(d.M) }),
  "weakest": d => set({ cell: argmax(d.M.map(M => -M)) }),
  "nothing": d => set({ cell: argmax(d.M.map(M => -Math.abs(M))) }),
  "cell": (d, cell) => set({ cell }),
  "all-units": () => set({ n: K, silent: [] }),
  "one-unit": d => set({ n: 1 + d.order.findIndex(k => !state.silent.includes(k)) }),
  "ninety": d => set({ n: countCarrying(d.sums, 0.9) }),
  "silence": (d, k) => silence(k),
  "more-units": () => { thumbs.best += 48; render(); },
  "swap": () => set({ c: state.against, against: state.c, n: K }),
  "most-a": d => set({ cell: argmax(difference(d)), side: "difference" }),
  "most-b": d => set({ cell: argmax(difference(d).map(M => -M)), side: "difference" }),
  "t-paper": () => set({ t: data.threshold }),
  "t-high": () => set({ t: 0.7 }),
  "t-apart": d => set({ t: fallsApart(d).t }),
  "t": (d, hundredths) => set({ t: hundredths / 100 }),
  "truth-middle": () => { set({ truth: centreBox(photo, 0.5) }); $("picture").focus(); },
  "truth-none": () => set({ truth: null }),
};

// a unit is silenced, or takes part again
function silence(k) {
  const others = state.silent.filter(other => other !== k);
  if (lit.k === k) lit.pressed = k;
  set({ silent: others.length < state.silent.length ? others : [...others, k] });
}

function wireButtons() {
  document.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    for (const [attribute, setter] of Object.entries(SETTERS)) {
      if (attribute in button.dataset) setter(button.dataset[attribute]);
    }
    if ("do" in button.dataset) {
      const [action, argument] = button.dataset.do.split(" ");
      ACTIONS[action](derive(), Number(argument));
    }
    if (button.closest(".thumbs")) silence(Number(button.dataset.k));
    if (button.className === "next") $("tabs").scrollIntoView({ block: "start" });
  });
  $("tabs").addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    set({ step: STEPS[(STEPS.indexOf(state.step) + step + STEPS.length) % STEPS.length] });
    $(`tab-${state.step}`).focus();
  });
}

function wireFields() {
  $("n").addEventListener("input", () => set({ n: Number($("n").value) }));
  $("t").addEventListener("input", () => set({ t: Number($("t").value) / 100 }));
  $("truth").addEventListener("input", () => {
    const sides = all("#truth input").map(field => field.value);
    const truth = sides.map(side => Math.round(Number(side)));
    if (!sides.includes("") && isInside(truth)) set({ truth });
  });
}

// --- the picture ---------------------------------------------------------------------------------

// the pixel of the photo under the pointer
function pixelAt(event) {
  const { left, top, width, height } = $("picture").getBoundingClientRect();
  const inside = (value, side) => Math.min(Math.max(Math.floor(value * side), 0), side - 1);
  return [inside((event.clientX - left) / width, photo[0]), inside((event.clientY - top) / height, photo[1])];
}

// the cell under the pointer; null outside of what the network saw
function cellAt(event) {
  const [x, y] = pixelAt(event).map(side => side + 0.5), [left, top, right, bottom] = data.cells;
  const seen = x > data.seen[0] && y > data.seen[1] && x < data.seen[2] && y < data.seen[3];
  const column = Math.floor((x - left) / (right - left) * W);
  const row = Math.floor((y - top) / (bottom - top) * H);
  return seen && column < W && row < H ? row * W + column : null;
}

function wirePicture() {
  const picture = $("picture");
  let corner = null;  // where a rectangle begins that is being drawn
  picture.addEventListener("pointerdown", event => {
    if (state.step !== "box" || event.button !== 0) return;
    corner = pixelAt(event);
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", event => {
    if (corner) {
      const other = pixelAt(event), both = [0, 1].map(axis => [corner[axis], other[axis]]);
      const first = both.map(sides => Math.min(...sides)), last = both.map(sides => Math.max(...sides));
      if (corner.join() !== other.join()) set({ truth: [...first, ...last] });
    } else if (state.step !== "box" && event.pointerType === "mouse") {
      point({ cell: cellAt(event) });
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, () => { corner = null; });
  }
  picture.addEventListener("pointerleave", () => point({ cell: null }));
  picture.addEventListener("click", event => {
    const cell = cellAt(event);
    if (state.step !== "box" && cell !== null) set({ cell });
  });
  picture.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    if (state.step === "box") moveTruth(move, event.shiftKey);
    else moveCell(move);
  });
}

// where the cells stand in a row, as bars or as columns, pointing at one shows it on the photo
function wireRow(id, cellOf) {
  $(id).addEventListener("pointermove", event => {
    const { left, width } = $(id).getBoundingClientRect();
    const at = Math.floor((event.clientX - left) / width * CELLS);
    point({ cell: cellOf(Math.min(Math.max(at, 0), CELLS - 1)) });
  });
  $(id).addEventListener("pointerleave", () => point({ cell: null }));
}

function moveCell([right, down]) {
  const cell = state.cell ?? currentCell(derive());
  const x = Math.min(Math.max(cell % W + right, 0), W - 1);
  const y = Math.min(Math.max(Math.floor(cell / W) + down, 0), H - 1);
  lit.cell = null;
  set({ cell: y * W + x });
}

// by a hundredth of the photo's long side; with Shift only the right and the lower side move
function moveTruth([right, down], resize) {
  const step = Math.max(1, Math.round(Math.max(...photo) / 100));
  const truth = state.truth ?? centreBox(photo, 0.5);
  const moved = truth.map((side, i) => (resize && i < 2 ? side : side + step * (i % 2 ? down : right)));
  if (isInside(moved)) set({ truth: moved });
}

// --- writing everything --------------------------------------------------------------------------

const DRAW = { cell: drawCell, score: drawScore, units: drawUnits, classes: drawClasses, box: drawBox };
let writing = null;

function set(changes) {
  const { c, against } = state;
  Object.assign(state, changes);
  // a class against itself says nothing: where one takes the other's place, the two change places
  if (state.c === state.against) Object.assign(state, "against" in changes ? { c: against } : { against: c });
  clearTimeout(writing);
  writing = setTimeout(writeAddress, 200);  // browsers refuse an address that changes too often
  render();
}

function point(changes) {
  if (Object.entries(changes).every(([key, value]) => lit[key] === value)) return;
  Object.assign(lit, changes);
  if ("cell" in changes) render();
  else lightUp(derive());
  if ("symbol" in changes) writeMeaning();
}

function render() {
  const d = derive(), focused = document.activeElement;
  writeChoices();
  DRAW[state.step](d);
  lightUp(d);
  if (!focused.isConnected) {  // what was written anew keeps the keyboard's focus
    const same = element => element.localName + JSON.stringify(element.dataset);
    const twin = all(focused.localName).find(element => same(element) === same(focused));
    twin?.focus({ preventScroll: true });
  }
}

// what depends on the unit that is pointed at
function lightUp(d) {
  if (state.step === "cell") writeTerms(d);
  drawPicture(d);
  drawMarks(d);
  drawLegend(d);
  drawCaption(d);
  for (const element of all("[data-k]")) {
    element.classList.toggle("lit", Number(element.dataset.k) === lit.k);
  }
}

function writeChoices() {
  const view = state.step === "box" && state.view === "cells" ? "smooth" : state.view;
  const press = (attribute, value) => {
    for (const button of all(`[${attribute}]`)) {
      button.setAttribute("aria-pressed", button.getAttribute(attribute) === String(value));
    }
  };
  if (document.body.dataset.now !== state.step) lit.symbol = null;
  Object.assign(document.body.dataset, { sum: state.sum, now: state.step });
  writeMeaning();
  for (const step of STEPS) {
    $(`step-${step}`).hidden = step !== state.step;
    $(`tab-${step}`).setAttribute("aria-selected", step === state.step);
    $(`tab-${step}`).tabIndex = step === state.step ? 0 : -1;
  }
  press("data-view", view);
  press("data-side", state.side);
  press("data-sum-form", state.sum);
  $("choose-class").querySelector("summary").textContent = nameOf(state.c);
  $("choose-against").querySelector("summary").textContent = nameOf(state.against);
  show({ class: nameOf(state.c) });
  document.title = `Where does the network see ${nameOf(state.c)}? ${data.photo.name}`;
}

function start() {
  document.body.classList.toggle("panorama", photo[0] > 1.7 * photo[1]);
  document.body.style.setProperty("--aspect", photo[0] / photo[1]);
  Object.assign(document.body.dataset, { form: data.form, sigmoid: data.sigmoid ? 1 : 0 });
  $("photo").src = `data:image/jpeg;base64,${data.photo.jpeg}`;
  $("photo").alt = `The photo ${data.photo.name}`;
  $("marks").setAttribute("viewBox", `0 0 ${photo[0]} ${photo[1]}`);
  $("keys").textContent = `A map of ${W} columns and ${H} rows. The arrow keys move from cell to cell; `
    + "in the last step they move the true box.";
  $("n").max = K;
  $("paper-tick").style.left = `${100 * data.threshold / 0.99}%`;
  writeSymbols();
  show({
    K, C, W, H, cells: CELLS, listed: Math.min(LISTED, C), photo: data.photo.name, model: data.model,
  });
  $("notes").append(...data.notes.map(textContent => make("li", { textContent })));
  readAddress();
  wireButtons();
  wireFields();
  wirePicture();
  wireRow("cells-chart", x => cellOrder[x]);
  for (const id of ["products", "column-results"]) wireRow(id, x => x);
  wireChooser("choose-class", chooseClass);
  wireChooser("choose-against", against => set({ against }));
  for (const [enter, leave] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    document.addEventListener(enter, event => light(event.target));
    document.addEventListener(leave, event => light(event.relatedTarget));
  }
  addEventListener("hashchange", () => { readAddress(); render(); });
  new ResizeObserver(render).observe($("picture"));
  render();
}

start();
