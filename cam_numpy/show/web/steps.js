"use strict";
/* The five steps: each writes its numbers, its chart and the answers to its questions. */

// --- what several steps use ----------------------------------------------------------------------

// a word in a text that sets the picture: see ACTIONS in page.js
function word(text, action) {
  const button = make("button", { className: "word", textContent: text });
  button.dataset.do = action;
  return button;
}

function answer(id, ...parts) {
  $(id).replaceChildren(...parts);
}

function tableCell(text, symbol) {
  const cell = make("td", { textContent: text });
  if (symbol) cell.dataset.lights = symbol;
  return cell;
}

// a bar from one value to another, where the whole width means `low` to `high`
function bar(from, to, [low, high]) {
  const percentOf = value => 100 * (value - low) / (high - low || 1);
  const fill = make("div", { className: to < from ? "fill against" : "fill for" });
  const zero = make("div", { className: "zero" });
  fill.style.left = `${percentOf(Math.min(from, to))}%`;
  fill.style.width = `${percentOf(Math.max(from, to)) - percentOf(Math.min(from, to))}%`;
  zero.style.left = `${percentOf(0)}%`;
  return make("td", { className: "wide" }, make("div", { className: "track" }, zero, fill));
}

// a drawing of values from `low` to `high` over 0 to `width`; the labels beside it are [value, text]
function chart(id, width, [low, high], shapes, labels, title) {
  const svg = $(id), height = high - low || 1;
  svg.setAttribute("viewBox", `0 ${-high} ${width} ${height}`);
  svg.setAttribute("aria-label", title);
  svg.replaceChildren(...shapes.filter(Boolean));
  for (const old of svg.parentElement.querySelectorAll(".label")) old.remove();
  svg.after(...labels.map(([value, text]) => {
    const label = make("span", { className: "label", textContent: text });
    label.style.top = `${100 * (high - value) / height}%`;
    return label;
  }));
}

const line = (path, kind = "") => shape("path", { d: path, class: `line ${kind}` });

// --- step 1: one cell ----------------------------------------------------------------------------

const MOST_BARS = 10;
let terms = null;  // of the cell: the units that have a bar, and the text of a unit's term

function drawCell(d) {
  const cell = currentCell(d), fAt = k => f[k * CELLS + cell];
  const products = d.wc.map((weight, k) => d.on[k] * weight * fAt(k));
  const top = topUnits(products, MOST_BARS, d.on), others = sum(d.on) - top.length;
  const rest = d.M[cell] - sum(top.map(k => products[k]));
  const highest = {
    w: sumForm(largestSize(top.map(k => d.wc[k]))), f: largestSize(top.map(fAt)),
    product: sumForm(largestSize([...top.map(k => products[k]), rest, d.M[cell]])),
  };
  const weightText = k => number(sumForm(d.wc[k]), highest.w), fText = k => number(fAt(k), highest.f);
  let soFar = 0;
  const addRow = (add, ...cells) => {
    const from = soFar;
    soFar += add;
    const text = value => tableCell(number(sumForm(value), highest.product));
    return make("tr", {}, ...cells, text(add), bar(from, soFar, d.reach), text(soFar));
  };
  const rows = top.map(k => {
    const row = addRow(products[k], make("th", { textContent: k }), tableCell(weightText(k), "w"),
      tableCell("×"), tableCell(fText(k), "f"), tableCell("="));
    row.dataset.k = k;
    row.tabIndex = 0;
    row.classList.toggle("hollow", strongestShare > 0 && strongestCell[k] !== cell);
    return row;
  });
  if (others) {
    const label = others === 1 ? "one other" : `all ${others} others`;
    rows.push(addRow(rest, make("th", { colSpan: 5, textContent: label })));
    rows.at(-1).className = "rest";
  }
  soFar = 0;
  const total = addRow(d.M[cell], make("th", { colSpan: 5, textContent: `M at ${place(cell)}` }));
  total.className = "total";
  total.dataset.lights = "M";
  total.lastChild.textContent = "";
  $("bars").tBodies[0].replaceChildren(...rows, total);
  terms = { cell, top, textOf: k => `${weightText(k)} × ${fText(k)}` };
  show({ x: cell % W, y: Math.floor(cell / W), b: number(b[state.c]) });
  answerNegative(d);
}

// M(5, 9) = 0.290 × 14.0 + 0.497 × 9.31 + ... = 38.09: three terms, and the one that is pointed at
function writeTerms(d) {
  const parts = [], total = make("b", { textContent: number(sumForm(d.M[terms.cell])) });
  terms.top.forEach((k, rank) => {
    if (rank > 2 && k !== lit.k) return;
    const term = make("span", { className: "term", textContent: terms.textOf(k) });
    term.dataset.k = k;
    parts.push(rank > 3 ? " + … + " : rank ? " + " : "", term);
  });
  total.dataset.lights = "M";
  const rest = parts.length < 2 * sum(d.on) ? " + … = " : " = ";
  $("terms").replaceChildren(`M${place(terms.cell)} = `, ...parts, rest, total);
}

function answerNegative(d) {
  let lowest = 0, at = -1;  // of all products, at all cells
  for (let i = 0; i < f.length; i++) {
    const k = Math.floor(i / CELLS), product = d.on[k] * d.wc[k] * f[i];
    if (product < lowest) [lowest, at] = [product, i];
  }
  if (at < 0) {
    answer("answer-negative", "The sign of its weight decides. Here no product is negative, at any cell.");
    return;
  }
  const k = Math.floor(at / CELLS), cell = at % CELLS;
  answer("answer-negative",
    `No, the sign of its weight decides. Unit ${k} fires with ${number(f[at])} at cell ${place(cell)}, and `,
    `its weight is ${number(sumForm(d.wc[k]))}: the product ${number(sumForm(lowest))} is evidence against `,
    `${nameOf(state.c)}. `,
    word("Look at that cell", `cell ${cell}`), ".");
}

// --- step 2: the score ---------------------------------------------------------------------------

const LISTED = 10;  // classes in the ranking
let cellOrder = [];  // of the bars of the chart

// the bars: what each cell counts for in the score
function cellValues(d) {
  if (isRectified) return d.M.map(M => M + b[state.c]);
  if (isAverage) return d.M.map(sumForm);
  const counted = d.M.map(M => (1 - strongestShare) * M / CELLS);
  for (let k = 0; k < K; k++) {  // a maximum counts each unit once, at its strongest cell
    const cell = strongestCell[k];
    counted[cell] += strongestShare * d.on[k] * d.wc[k] * f[k * CELLS + cell];
  }
  return counted;
}

function drawScore(d) {
  const c = state.c, values = cellValues(d), pooled = pooledSum(c, d.on), mapMean = mean(d.M);
  const rectified = mean((isRectified ? values : d.M).map(value => Math.max(0, value)));
  const level = isRectified ? rectified : mean(values);
  const text = value => number(value, largestSize([mapMean, pooled, b[c], d.S[c]]));
  show({
    S: text(d.S[c]), "S-own": text(ownS[c]), "S-units": text(pooled + b[c]), "S-linear": text(mapMean + b[c]),
    P: percent(d.P[c]), "by-units": text(pooled), "by-cells": text(mapMean), "max-M": text(largest(d.M)),
    "plus-b": signed(b[c], largestSize([mapMean, pooled, b[c], d.S[c]])),
    "mean-M": number(level), "relu-mean": text(rectified),
    "relu-remark": smallest(d.M) < 0
      ? "The map would no longer add up to the score. That is why it is not done here."
      : "Here nothing is negative, and nothing would change. For other classes it would.",
    "hidden-cells": values.filter(value => value < 0).length,
  });
  drawCellChart(d, values, level);
  drawProducts(d);
  $("ranking").replaceChildren(...ranked(d.S).slice(0, LISTED).map(other => rankingLine(other, d)));
}

let productsOf = "";

// w_k^c f_k(x, y) of all units (rows, in the order of what they add) and all cells (columns), what
// each row gives and what each column gives; each of the three on a scale of its own, which follows the
// square root: most products are small
function drawProducts(d) {
  if (productsOf === d.key) return;
  productsOf = d.key;
  const paint = (id, size, values) => {
    const roots = values.map(value => Math.sign(value) * Math.sqrt(Math.abs(value)));
    const limit = largestSize(roots), canvas = $(id);
    [canvas.width, canvas.height] = size;
    canvas.getContext("2d").drawImage(image(size, i => evidenceColour(roots[i], limit, 255)), 0, 0);
  };
  const products = d.order.flatMap(k => Array.from(unit(k), activation => d.on[k] * d.wc[k] * activation));
  paint("products", [CELLS, K], products);
  paint("row-results", [1, K], d.order.map(k => d.on[k] * d.parts[k]));
  paint("column-results", [CELLS, 1], Array.from(d.M));
}

function drawCellChart(d, values, level) {
  cellOrder = ranked(values);
  const high = Math.max(0, largest(values)), low = Math.min(0, smallest(values));
  const bars = sign => cellOrder
    .map((cell, x) => (sign * values[cell] > 0 ? `M${x} 0V${-values[cell]}H${x + 1}V0Z` : "")).join("");
  const at = cellOrder.indexOf(currentCell(d));
  const labels = [[high, number(high)], [0, "0"]];
  if (!strongestShare) labels.push([level, `mean ${number(level)}`]);
  chart("cells-chart", CELLS, [low, high], [
    shape("path", { d: bars(1), class: "for" }),
    shape("path", { d: bars(-1), class: isRectified ? "against faded" : "against" }),
    line(`M0 0H${CELLS}`),
    strongestShare ? null : line(`M0 ${-level}H${CELLS}`, "mean"),
    shape("rect", { x: at, y: -high, width: 1, height: high - low, class: "lit" }),
  ], labels, `The values of all ${CELLS} cells, from ${number(high)} down to ${number(low)}`);
}

function rankingLine(c, d) {
  const share = make("span", { className: "share" });
  share.style.width = `${100 * d.P[c]}%`;
  const score = make("span", { className: "score", textContent: number(d.S[c], d.S[ranking[0]]) });
  const button = make("button", { title: data.classes[c] },
    make("span", { className: "name", textContent: nameOf(c) }), score,
    make("span", { textContent: percent(d.P[c]) }), share);
  button.dataset.class = c;
  button.setAttribute("aria-pressed", c === state.c);
  return make("li", {}, button);
}

// --- step 3: the units ---------------------------------------------------------------------------

const thumbs = { best: 16, last: 8, made: "" };

function drawUnits(d) {
  const c = state.c, { sums } = d, text = value => number(value, largestSize(sums));
  const high = largest(sums);  // sums[0] is 0
  show({
    S: number(d.S[c]), P: percent(d.P[c]), "best-now": nameOf(argmax(d.S)), n: state.n,
    "n-sum": text(sums[state.n]), "all-sum": text(sums[K]), "for-sum": text(high), without: without(),
  });
  $("n").value = state.n;
  // the axis is that of all units: where some are silenced, the curve moves and the axis stays
  const reach = [...sums, ...sumsOfFirst(d.order.map(k => d.parts[k]))];
  chart("units-chart", K, [smallest(reach), largest(reach)], [
    line(`M0 ${-sums[K]}H${K}`, "mean"),
    line(`M0 ${-0.9 * high}H${K}`, "faint"),
    line(`M${Array.from(sums, (value, n) => `${n} ${-value}`).join("L")}`, "curve"),
    line(`M${state.n} ${-largest(reach)}V${-smallest(reach)}`, "now"),
  ], [[sums[K], text(sums[K])], [0, "0"]],
  `The sum of the first n units: at most ${number(high)}, at the end ${number(sums[K])}`);
  makeThumbs(d);
  for (const thumb of all(".thumbs button")) thumb.setAttribute("aria-pressed", !d.on[thumb.dataset.k]);
  answerUnits(sums);
  answerSilence(d);
}

// which of the units do not count: after "256 units"
function without() {
  const count = state.silent.length;
  return count ? `, without ${count === 1 ? `unit ${state.silent[0]}` : `the ${count} silenced ones`},` : "";
}

function makeThumbs(d) {
  const split = K <= thumbs.best + thumbs.last ? K : thumbs.best, made = [state.c, split].join(";");
  if (thumbs.made === made) return;
  thumbs.made = made;
  const last = split < K ? d.order.slice(-thumbs.last).reverse() : [];
  $("best-units").replaceChildren(...d.order.slice(0, split).map(k => thumb(k, d)));
  $("last-units").replaceChildren(...last.map(k => thumb(k, d)));
  for (const id of ["last-heading", "last-units", "more-units"]) $(id).hidden = split === K;
  show({ "best-units": split === K ? "All units" : "The units that raise the sum most" });
}

function thumb(k, d) {
  const values = unit(k), limit = largestSize(values), part = number(d.parts[k], d.parts[d.order[0]]);
  const canvas = image([W, H], cell => {  // on black
    const [red, green, blue, alpha] = firingColour(values[cell], limit);
    return [red, green, blue].map(light => light * alpha / 255).concat(255);
  });
  const label = make("span", { textContent: d.parts[k] > 0 ? `+${part}` : part });
  const button = make("button", { title: `unit ${k}` }, canvas, label);
  button.dataset.k = k;
  button.setAttribute("aria-label", `Unit ${k}, adds ${part}: silence it`);
  return button;
}

function answerUnits(sums) {
  const ninety = countCarrying(sums, 0.9), top = argmax(sums);
  const text = n => number(sums[n], largestSize(sums));
  if (ninety === 0) {
    answer("answer-ninety", "None: no unit raises the sum.");
  } else {
    const count = ninety === 1 ? "The first unit adds" : `The first ${ninety} units${without()} add up to`;
    answer("answer-ninety", `${count} ${text(ninety)}. All units that raise the sum add up to ${text(top)}. `,
      word(ninety === 1 ? "Take it" : "Take these", "ninety"), ".");
  }
  const falls = top < K && sums[top] - sums[K] > 5e-4 * Math.abs(sums[top]);
  answer("answer-overshoot", falls
    ? `The first ${top} units${without()} add up to ${text(top)}. The units after them lower the sum: they `
      + `fire, and their weight for ${nameOf(state.c)} is negative. They lower it by `
      + `${number(sums[top] - sums[K], largestSize(sums))}.`
    : `It does not, for ${nameOf(state.c)}: no unit lowers the sum.`);
}

function answerSilence(d) {
  const best = d.order.find(k => d.on[k]);
  if (best === undefined) {
    answer("answer-silence", "No unit takes part.");
    return;
  }
  const P = probabilities(scores(d.on.map((value, k) => (k === best ? 0 : value))));
  const c = state.c, winner = argmax(P.map((p, other) => p - d.P[other]));
  answer("answer-silence",
    `Without unit ${best}, ${nameOf(c)} goes from ${percent(d.P[c])} to ${percent(P[c])}, and `,
    `${nameOf(winner)} from ${percent(d.P[winner])} to ${percent(P[winner])}. `,
    word("Silence it", `silence ${best}`), ".");
}

// --- step 4: two classes -------------------------------------------------------------------------

function drawClasses(d) {
  const { c: A, against: B } = state, wB = weights(B);
  const pooledA = pooledSum(A, d.on), pooledB = pooledSum(B, d.on);
  const rows = [
    [nameOf(A), pooledA, b[A], d.S[A], percent(d.P[A])],
    [nameOf(B), pooledB, b[B], d.S[B], percent(d.P[B])],
    ["A − B", pooledA - pooledB, b[A] - b[B], d.S[A] - d.S[B], ""],
  ];
  const highest = largestSize(rows.flatMap(row => row.slice(1, 4)));
  $("scores").tBodies[0].replaceChildren(...rows.map(([label, pooled, bias, S, P]) => {
    const values = isRectified ? [S] : [pooled, bias, S];
    return make("tr", { className: P ? "" : "total" }, make("th", { className: "name", textContent: label }),
      ...values.map(value => tableCell(number(value, highest))), tableCell(P));
  }));
  show({ against: nameOf(B) });
  const parts = F.map((pooled, k) => d.on[k] * (d.wc[k] - wB[k]) * pooled), order = ranked(parts);
  const chosen = K > 8 ? [...order.slice(0, 4), ...order.slice(-4)] : order, reach = largestSize(parts);
  $("decide").tBodies[0].replaceChildren(...chosen.map(k => {
    const row = make("tr", { tabIndex: 0 }, make("th", { textContent: k }),
      tableCell(number(parts[k], reach)), bar(0, parts[k], [-reach, reach]));
    row.dataset.k = k;
    return row;
  }));
  answerStrongest(d);
}

function difference(d) {
  const MB = classActivationMap(f, weights(state.against), d.on);
  return d.M.map((M, i) => M - MB[i]);
}

function answerStrongest(d) {
  const apart = difference(d), A = nameOf(state.c), B = nameOf(state.against);
  const strongest = argmax(d.M), most = argmax(apart), look = word("Look there", `cell ${most}`);
  if (strongest === most) {
    answer("answer-strongest", `Yes, here it is: cell ${place(most)} in both maps. `, look, ".");
    return;
  }
  const ofB = number(sumForm(d.M[strongest] - apart[strongest]));
  answer("answer-strongest", `No. The strongest cell of ${A} is ${place(strongest)}, where ${B} has ${ofB}. `,
    `A beats B most at ${place(most)}. `, look, ".");
}

// --- step 5: the box -----------------------------------------------------------------------------

const pixelsOf = found => sum(found.map(({ pixels }) => pixels));

function drawBox(d) {
  const laid = laidMap(d), highest = sumForm(largest(laid));
  const paper = pixelsOf(keptAt(d, data.threshold).found) / laid.length;
  $("t").value = Math.round(100 * state.t);
  show({
    t: state.t.toFixed(2), "laid-max": number(highest), level: number(state.t * highest, highest),
    "kept-paper": percent(paper),
  });
  $("box-text").textContent = boxText(keptAt(d, state.t), laid.length);
  all("#truth input").forEach((field, i) => {
    field.max = photo[i % 2] - 1;
    if (field !== document.activeElement) field.value = state.truth ? state.truth[i] : "";
  });
  answerApart(fallsApart(d), keptAt(d, data.threshold).number);
  $("overlap").hidden = !state.truth;
  if (state.truth) drawOverlap(d);
  else answer("answer-best", "Draw the true box first.");
}

function boxText({ found, number: largestOne, box }, seen) {
  if (!box) return "No value of this map is positive: it shows no place for the class, and there is no box.";
  const kept = pixelsOf(found), share = percent(found[largestOne - 1].pixels / kept);
  const count = found.length === 1 ? "one component" : `${found.length} components`;
  return `${percent(kept / seen)} of what the network saw is kept, in ${count}. The largest has ${share} of `
    + `what is kept. Its box: columns ${box[0]} to ${box[2]}, rows ${box[1]} to ${box[3]} of the photo.`;
}

// what becomes of the component that the paper's threshold gives, when t rises; `exists` is 0 where it
// gives none
function answerApart({ t, pieces, crumbs }, exists) {
  if (t !== null) {
    answer("apart", word(`Raise it to ${t.toFixed(2)}`, "t-apart"),
      ": there the largest component falls apart.");
    answer("answer-apart",
      `At t = ${t.toFixed(2)}, into pieces of ${pieces.join(" and ")} pixels. The box holds only the `,
      "largest. A higher threshold keeps less, but the box can also jump to another place.");
    return;
  }
  const whole = crumbs ? `only crumbs break off, each less than ${100 * CRUMB} % of what is left`
    : "it shrinks and stays in one piece";
  const raised = `However far you raise it, ${crumbs ? "only crumbs break off" : "nothing breaks off"}.`;
  answer("apart", exists ? raised : "");
  answer("answer-apart", exists ? `It does not, at any t up to 0.99: ${whole}.`
    : "There is none: no value of this map is positive.");
}

function drawOverlap(d) {
  const overlap = THRESHOLDS.map(t => (keptAt(d, t).box ? iou(keptAt(d, t).box, state.truth) : 0));
  const middle = iou(centreBox(photo, data.centre), state.truth), best = argmax(overlap);
  const text = `t = ${THRESHOLDS[best].toFixed(2)}, with IoU ${overlap[best].toFixed(3)}`;
  show({ iou: overlap[Math.round(100 * state.t)].toFixed(3), "iou-centre": middle.toFixed(3) });
  chart("iou-chart", 1, [0, 1], [
    line("M0 -0.5H1", "faint"),
    line(`M0 ${-middle}H1`, "dotted"),
    line(`M${overlap.map((value, i) => `${THRESHOLDS[i]} ${-value}`).join("L")}`, "curve"),
    line(`M${state.t} -1V0`, "now"),
  ], [[1, "1"], [0.5, "0.5"], [0, "0"]], `IoU at every threshold; the best is at ${text}`);
  answer("answer-best", `${text}. `, word("Set it", `t ${best}`),
    ". Choosing t with the true box in sight is cheating: a benchmark fixes one t for all photos.");
}
