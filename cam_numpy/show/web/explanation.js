"use strict";
/* What is shown: the arrays of the explanation, what was chosen, and all that follows from both. */

// --- the arrays ----------------------------------------------------------------------------------

const data = JSON.parse(document.getElementById("data").textContent);
const [K, H, W] = data.f.shape;
const C = data.classes.length, CELLS = H * W;
const f = numbers(data.f), w = numbers(data.w), b = numbers(data.b), ownS = numbers(data.S);
const photo = [data.photo.width, data.photo.height];
const grid = boxGrid(data.seen, data.longest);  // on which boxes are found
const isRectified = data.form === "squeezenet", isAverage = ["gap", "nin"].includes(data.form);
const strongestShare = { gmp: 1, "gap+gmp": 0.5 }[data.form] ?? 0;  // how much the maximum counts in F_k
const F = pooled();
const strongestCell = Array.from({ length: K }, (_, k) => argmax(unit(k)));
const ranking = ranked(ownS);

// base64 of little-endian numbers of 16 or 32 bits, divided by 2 ** exponent
function numbers({ bits, exponent, base64 }) {
  const letters = atob(base64), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  if (bits === 32) return new Float32Array(bytes.buffer);
  const value = halves();
  return Float32Array.from(new Uint16Array(bytes.buffer), half => value[half] * 2 ** exponent);
}

// every float16: one bit is the sign, five are the exponent, ten the fraction
function halves() {
  return Float32Array.from({ length: 65536 }, (_, half) => {
    const sign = half >> 15 ? -1 : 1, exponent = (half >> 10) & 31, fraction = (half & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });
}

// F_k: the mean, the maximum, or what lies between
function pooled() {
  const highest = globalMaxPool(f, K), share = strongestShare;
  return globalAveragePool(f, K).map((mean, k) => (1 - share) * mean + share * highest[k]);
}

// f_k, all its cells
function unit(k) {
  return f.subarray(k * CELLS, (k + 1) * CELLS);
}

// w^c, of all units
function weights(c) {
  return w.subarray(c * K, (c + 1) * K);
}

// the first of a class's names: "goldfish" of "goldfish, Carassius auratus"
function nameOf(c) {
  return data.classes[c].split(",")[0].trim() || data.classes[c].trim() || `class ${c}`;
}

// --- what is chosen, and what is pointed at ------------------------------------------------------

const STEPS = ["cell", "score", "units", "classes", "box"];
const VIEWS = ["photo", "cells", "smooth"];
const SIDES = ["a", "b", "difference"];
const firstClass = data.start[0] ?? ranking[0];
const START = {
  step: "cell",
  view: "cells",
  c: firstClass,  // class A: the class of the page
  against: data.start[1] ?? ranking.find(c => c !== firstClass) ?? firstClass,  // class B
  side: "difference",  // which map of the two classes
  cell: null,  // y * W + x; null is the strongest cell of the map
  sum: data.sum,  // 1: F_k is a sum, and the weights are w / (H W)
  n: K,  // the first n units take part, in the order of w_k^c F_k
  silent: [],  // except for these
  t: data.threshold,
  truth: null,  // the true box
};
const state = { ...START };
// `pressed` is the unit that was pressed and is still pointed at
const lit = { cell: null, k: null, pressed: null, symbol: null };

// The address keeps the state, "#step=box&t=0.35": what is as at the start is left out.
const KEYS = {
  c: "class", cell: "cell", against: "against", step: "step", view: "view", side: "side", sum: "sum",
  n: "units", silent: "silent", t: "t", truth: "box",
};

function writeAddress() {
  const parts = [];
  for (const [key, name] of Object.entries(KEYS)) {
    if (String(state[key]) === String(START[key])) continue;
    const value = key === "cell" ? [state.cell % W, Math.floor(state.cell / W)] : state[key];
    parts.push(`${name}=${String(value).replaceAll(",", ".")}`);
  }
  history.replaceState(null, "", `#${parts.join("&")}`);
}

// What does not fit this explanation is left out.
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const text = key => given.get(KEYS[key]) ?? "";
  const integers = key => (/^\d+(\.\d+)*$/.test(text(key)) ? text(key).split(".").map(Number) : []);
  const below = (key, end) => integers(key).filter(i => i < end);
  const oneOf = (key, choices) => (choices.includes(text(key)) ? text(key) : START[key]);
  const [x, y] = integers("cell"), truth = integers("truth"), t = text("t") ? Number(text("t")) : NaN;
  Object.assign(state, START, {
    step: oneOf("step", STEPS), view: oneOf("view", VIEWS), side: oneOf("side", SIDES),
    c: below("c", C)[0] ?? START.c, against: below("against", C)[0] ?? START.against,
    cell: x < W && y < H ? y * W + x : null,
    sum: isAverage ? Number(oneOf("sum", ["0", "1"])) : 0,
    n: below("n", K + 1)[0] ?? K, silent: below("silent", K),
    t: t >= 0 && t < 1 ? Math.round(100 * t) / 100 : START.t,
    truth: truth.length === 4 && isInside(truth) ? truth : null,
  });
}

// whether a box begins before it ends, and lies on the photo
function isInside([x0, y0, x1, y1]) {
  return x0 >= 0 && y0 >= 0 && x0 <= x1 && y0 <= y1 && x1 < photo[0] && y1 < photo[1];
}

// --- what follows from the state -----------------------------------------------------------------

let known = {};

// Section 2 for the class and the units that were chosen
function derive() {
  const key = [state.c, state.n, state.silent].join(";");
  if (known.key === key) return known;
  const wc = weights(state.c), parts = F.map((pooled, k) => wc[k] * pooled);  // w_k^c F_k
  const order = ranked(parts), on = new Uint8Array(K);
  for (const k of order.slice(0, state.n)) on[k] = 1;
  for (const k of state.silent) on[k] = 0;
  const M = classActivationMap(f, wc, on), S = scores(on);
  // what the first n units add up to, for every n, without those that are silenced
  const sums = sumsOfFirst(order.map(k => (state.silent.includes(k) ? 0 : parts[k])));
  known = { key, wc, parts, order, on, sums, M, S, P: probabilities(S), reach: reachOfSums(wc) };
  return known;
}

function scores(on) {
  if (!isRectified) return classScores(F, w, b, on);
  // S_c = mean_xy max(0, M_c(x, y) + b_c)
  return Float64Array.from(b, (bias, c) => {
    return mean(classActivationMap(f, weights(c), on).map(M => Math.max(0, M + bias)));
  });
}

function probabilities(S) {
  return data.sigmoid ? S.map(score => 1 / (1 + Math.exp(-score))) : softmax(S);
}

// The lowest and the highest value that a sum of some terms w_k^c f_k(x, y) can have, at any cell:
// that of the negative terms alone, and that of the positive ones.
function reachOfSums(wc) {
  const low = new Float64Array(CELLS), high = new Float64Array(CELLS);
  for (let i = 0; i < f.length; i++) {
    const term = wc[Math.floor(i / CELLS)] * f[i];
    if (term < 0) low[i % CELLS] += term;
    else high[i % CELLS] += term;
  }
  return [smallest(low), largest(high)];
}

// what the units that take part add up to, for class c: sum_k w_k^c F_k
function pooledSum(c, on) {
  return sum(F.map((pooled, k) => on[k] * w[c * K + k] * pooled));
}

// the map on the photo, in score units
function shownMap(d) {
  if (state.step !== "classes" || state.side === "a") return d.M;
  const B = classActivationMap(f, weights(state.against), d.on);
  return state.side === "b" ? B : d.M.map((M, i) => M - B[i]);
}

// The unit that is shown in place of the map: the one that is pointed at. But where it is silenced or
// was just pressed, the map shows what this changed.
function shownUnit() {
  return lit.k === lit.pressed || state.silent.includes(lit.k) ? null : lit.k;
}

function currentCell(d) {
  return lit.cell ?? state.cell ?? argmax(shownMap(d));
}

// the units that take part and have the largest |value|
function topUnits(values, count, on) {
  return ranked(values.map(Math.abs)).filter(k => on[k]).slice(0, count);
}

// In the sum form every weight is divided by H W, and with it every map.
function sumForm(value) {
  return state.sum ? value / CELLS : value;
}

// --- boxes, found once for each map and threshold ------------------------------------------------

const THRESHOLDS = Array.from({ length: 100 }, (_, i) => i / 100);
let boxes = {};

function layOnSeen(values) {
  return lay(values, [H, W], data.cells, data.seen, grid);
}

// the map of the class, laid onto what the network saw
function laidMap(d) {
  if (boxes.key !== d.key) boxes = { key: d.key, laid: layOnSeen(d.M), at: {} };
  return boxes.laid;
}

// what a threshold keeps, its components, the number of the largest one, and the box around that
function keptAt(d, t) {
  const laid = laidMap(d);
  if (!boxes.at[t]) {
    const { label, found } = components(maskAbove(laid, t), grid[0]), number = largestComponent(found);
    const box = number ? boxOnPhoto(found[number - 1].box, grid, data.seen) : null;
    boxes.at[t] = { label, found, number, box };
  }
  return boxes.at[t];
}

const CRUMB = 0.05;  // a piece with less of what is left than this is a crumb

// The first threshold above the paper's at which its largest component is in pieces, crumbs left out, and
// these pieces. Where there is none, t is null, and `crumbs` tells whether anything breaks off at all.
function fallsApart(d) {
  const paper = keptAt(d, data.threshold);
  let crumbs = false;
  for (const t of THRESHOLDS.filter(t => t > data.threshold)) {
    const inside = ({ first }) => paper.number && paper.label[first] === paper.number;
    const pieces = keptAt(d, t).found.filter(inside).map(({ pixels }) => pixels);
    const large = pieces.filter(pixels => pixels >= CRUMB * sum(pieces));
    if (large.length > 1) return { t, pieces: large };
    crumbs ||= pieces.length > 1;
  }
  return { t: null, crumbs };
}
