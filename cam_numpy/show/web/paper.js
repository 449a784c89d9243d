"use strict";
/* The paper's equations in JavaScript, with the names and the symbols of cam_numpy/paper.
 *
 * Arrays are flat: f_k(x, y) is f[k * cells + y * W + x], w_k^c is w[c * K + k] and M_c(x, y) is
 * M[y * W + x], where cells = H * W. Rows (y) come before columns (x), the origin is at the top
 * left. on[k] is 1 where unit k takes part and 0 where it is silenced.
 */

const sum = values => values.reduce((a, b) => a + b, 0);
const mean = values => sum(values) / values.length;
const largest = values => values.reduce((a, b) => Math.max(a, b), -Infinity);
const smallest = values => values.reduce((a, b) => Math.min(a, b), Infinity);
const largestSize = values => largest(values.map(Math.abs));
const argmax = values => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

// the indices of the values, the largest value first; of equal ones the first comes first
const ranked = values => Array.from(values.keys()).sort((i, j) => values[j] - values[i] || i - j);

// --- Section 2: from f to the scores and the maps ------------------------------------------------

// F_k = mean_xy f_k(x, y)
function globalAveragePool(f, K) {
  return eachUnit(f, K, mean);
}

// F_k = max_xy f_k(x, y)
function globalMaxPool(f, K) {
  return eachUnit(f, K, largest);
}

function eachUnit(f, K, pool) {
  const cells = f.length / K;
  return Float64Array.from({ length: K }, (_, k) => pool(f.subarray(k * cells, (k + 1) * cells)));
}

// S_c = sum_k w_k^c F_k + b_c, over the units that take part
function classScores(F, w, b, on) {
  return Float64Array.from(b, (bias, c) => {
    let S = bias;
    for (let k = 0; k < F.length; k++) if (on[k]) S += w[c * F.length + k] * F[k];
    return S;
  });
}

// P_c = exp(S_c) / sum_c exp(S_c)
// the maximum is subtracted first: P stays the same, exp cannot overflow
function softmax(S) {
  const highest = largest(S);
  const e = S.map(score => Math.exp(score - highest));
  const total = sum(e);
  return e.map(part => part / total);
}

// M_c(x, y) = sum_k w_k^c f_k(x, y)                                                          (Eq. 2)
// `wc` is the row w[c]: every unit votes for class c, where it fires, with its weight for that class
function classActivationMap(f, wc, on) {
  const cells = f.length / wc.length;
  const M = new Float64Array(cells);
  for (let k = 0; k < wc.length; k++) {
    if (!on[k]) continue;
    for (let i = 0; i < cells; i++) M[i] += wc[k] * f[k * cells + i];
  }
  return M;
}

// sums[n]: what the first n of some w_k^c F_k add up to. In the order of their sizes, the largest first, the
// sums rise up to the evidence for the class, which is the sum of all that are positive.
function sumsOfFirst(parts) {
  const sums = new Float64Array(parts.length + 1);
  parts.forEach((part, n) => { sums[n + 1] = sums[n] + part; });
  return sums;
}

// The smallest n for which the first n add up to a fraction of the evidence for the class; 0 where there
// is no evidence.
function countCarrying(sums, fraction) {
  const enough = fraction * largest(sums) * (1 - 1e-12);
  return sums.findIndex(sum => sum >= enough);
}

// --- from the map's cells to the photo's pixels --------------------------------------------------

// The map on a grid of width x height points over a rectangle of the photo: interpolated bilinearly
// between the centres of the cells. `cells` is the rectangle of all cells together; both are (left, top,
// right, bottom) in the photo's pixels.
function lay(M, [H, W], cells, rectangle, [width, height]) {
  const columns = neighbours(width, rectangle[0], rectangle[2], cells[0], cells[2], W);
  const rows = neighbours(height, rectangle[1], rectangle[3], cells[1], cells[3], H);
  const laid = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const [top, bottom, v] = rows[y];
    for (let x = 0; x < width; x++) {
      const [left, right, u] = columns[x];
      const above = (1 - u) * M[top * W + left] + u * M[top * W + right];
      const below = (1 - u) * M[bottom * W + left] + u * M[bottom * W + right];
      laid[y * width + x] = (1 - v) * above + v * below;
    }
  }
  return laid;
}

// For each of `count` points, spread evenly from start to stop: the two cells between whose centres it
// lies, and how far it is from the first. Beyond the outermost centres the value stays constant.
function neighbours(count, start, stop, firstEdge, lastEdge, cells) {
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) * (stop - start) / count;
    const position = (centre - firstEdge) / (lastEdge - firstEdge) * cells - 0.5;
    const inside = Math.min(Math.max(position, 0), cells - 1);
    const first = Math.floor(inside);
    return [first, Math.min(first + 1, cells - 1), inside - first];
  });
}

// --- Section 3: from the map to a box ------------------------------------------------------------

// What exceeds the fraction t of the map's maximum. Where no value is positive, nothing is kept.
function maskAbove(M, t) {
  const highest = largest(M), level = Math.fround(t * highest);
  const mask = new Uint8Array(M.length);
  for (let i = 0; i < M.length; i++) mask[i] = highest > 0 && M[i] > level;
  return mask;
}

// The connected components of a mask, in reading order; pixels that touch at a corner are connected.
// label[i] is 1, 2, ... for the component of pixel i and 0 outside. Of each component: how many
// pixels it has, the first of them, and its box (x0, y0, x1, y1), both ends included.
function components(mask, width) {
  const height = mask.length / width;
  const label = new Uint32Array(mask.length);
  const found = [];
  for (let first = 0; first < mask.length; first++) {
    if (!mask[first] || label[first]) continue;
    const number = found.length + 1, waiting = [first];
    let pixels = 0, x0 = width, y0 = height, x1 = -1, y1 = -1;
    label[first] = number;
    while (waiting.length) {
      const i = waiting.pop(), x = i % width, y = (i - x) / width;
      pixels += 1;
      x0 = Math.min(x0, x), y0 = Math.min(y0, y), x1 = Math.max(x1, x), y1 = Math.max(y1, y);
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const j = v * width + u;
          if (mask[j] && !label[j]) {
            label[j] = number;
            waiting.push(j);
          }
        }
      }
    }
    found.push({ pixels, first, box: [x0, y0, x1, y1] });
  }
  return { label, found };
}

// The number of the largest component, 1, 2, ... (of equal ones the first), or 0 where there is none.
function largestComponent(found) {
  return found.length ? 1 + argmax(found.map(component => component.pixels)) : 0;
}

// The grid on which boxes are found: the pixels that the network saw, or at most `longest` a side.
function boxGrid([left, top, right, bottom], longest) {
  const sides = [right - left, bottom - top], shrink = Math.max(1, ...sides.map(side => side / longest));
  return sides.map(side => Math.max(1, rint(side / shrink)));
}

// A box of the grid over `seen`, in the photo's pixels.
function boxOnPhoto(box, grid, seen) {
  return box.map((side, i) => {
    const axis = i % 2, end = i < 2 ? 0 : 1;  // x0, y0 are first pixels; x1, y1 are last ones
    const pixel = (seen[axis + 2] - seen[axis]) / grid[axis];
    return seen[axis] + rint((side + end) * pixel) - end;
  });
}

// Round to the nearest integer, halves to the even one, as NumPy does.
function rint(x) {
  const floor = Math.floor(x);
  if (x - floor === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return Math.round(x);
}

// Intersection over union of two boxes, both ends included.
function iou(a, b) {
  const pixels = ([x0, y0, x1, y1]) => Math.max(0, x1 - x0 + 1) * Math.max(0, y1 - y0 + 1);
  const both = a.map((side, i) => (i < 2 ? Math.max(side, b[i]) : Math.min(side, b[i])));
  const common = pixels(both);
  return common / (pixels(a) + pixels(b) - common);
}

// The box in the middle of a photo that covers `fraction` of each side: a baseline that ignores the image.
function centreBox([photoWidth, photoHeight], fraction) {
  const [width, height] = [photoWidth, photoHeight].map(side => Math.max(1, rint(fraction * side)));
  const left = Math.floor((photoWidth - width) / 2), top = Math.floor((photoHeight - height) / 2);
  return [left, top, left + width - 1, top + height - 1];
}
