"""Section 3 of the paper and the later protocols as loops: the specification of the measures.

Written from the definitions with Python numbers only, sharing nothing with
cam_numpy. A box is (x0, y0, x1, y1), the first and the last column and row that
belong to it; a photo is (width, height); a map is a list of rows. Slow on purpose.
"""

import bisect
import math

from tests import loops

CURVE = [i / 20 for i in range(20)]


# --- from a map to a box ------------------------------------------------------------------------

def level(values, t, rule):
    """What a cell must exceed to be kept; `values` are those of all cells, in order."""
    if rule == "paper":
        return t * values[-1]
    if rule == "min-max":
        return values[0] + t * (values[-1] - values[0])
    kept = math.ceil(t * (len(values) - 1))  # "top-pixels": so many of the largest
    return values[len(values) - 1 - kept]


def in_order(M):
    return sorted(value for row in M for value in row)


def kept_cells(M, t, rule="paper"):
    """The cells (y, x) above the level; by the paper's rule none where no cell is positive."""
    values = in_order(M)
    if rule == "paper" and values[-1] <= 0:
        return set()
    least = level(values, t, rule)
    return {(y, x) for y, row in enumerate(M) for x, value in enumerate(row) if value > least}


def margin(M, thresholds, rule="paper"):
    """How far every value may be off before a rule, at any threshold, keeps another cell or one fewer.

    A value of zero, where no unit fires, is off by nothing.
    """
    values, room = in_order(M), [math.inf]
    if rule == "paper" and values[-1] <= 0:
        return -values[-1]
    for t in thresholds:
        least = level(values, t, rule)
        i = bisect.bisect_right(values, least)  # the first that is kept
        if i < len(values) and least in values:  # "top-pixels", and all but the least: the order decides
            room.append((values[i] - least) / 2)
        elif i < len(values):
            room.append(values[i] - least)
        if least != 0 and values.count(least) > 1:
            room.append(0.0)
        elif least not in values:
            room.append(least - values[i - 1] if i else math.inf)
    return min(room)


def components(cells):
    """What hangs together by sides or corners, by flood fill, in reading order."""
    left, found = set(cells), []
    for start in sorted(cells):
        if start in left:
            left.remove(start)
            part, waiting = [], [start]
            while waiting:
                y, x = waiting.pop()
                part.append((y, x))
                for near in ((y - 1, x - 1), (y - 1, x), (y - 1, x + 1), (y, x - 1),
                             (y, x + 1), (y + 1, x - 1), (y + 1, x), (y + 1, x + 1)):
                    if near in left:
                        left.remove(near)
                        waiting.append(near)
            found.append(part)
    return found


def grid_of(photo):
    """The (width, height) on which boxes are looked for: the photo's, or 224 on the long side."""
    shrink = max(1, max(photo) / 224)
    return tuple(max(1, round(side / shrink)) for side in photo)


def laid(M, photo):
    """A map laid onto a photo that the network sees as a whole."""
    width, height = grid_of(photo)
    return loops.enlarged(M, height, width)


def boxes_of(shown, photo, t, rule="paper"):
    """(cells, box) of each component, the box in the photo's pixels; `shown` is the map laid onto it."""
    found = []
    for part in components(kept_cells(shown, t, rule)):
        rows, columns = [y for y, _ in part], [x for _, x in part]
        edges = [min(columns), min(rows), max(columns) + 1, max(rows) + 1]  # the last one is not in the box
        for i in range(4):
            edges[i] = round(edges[i] * photo[i % 2] / (len(shown[0]), len(shown))[i % 2])
        found.append((len(part), (edges[0], edges[1], edges[2] - 1, edges[3] - 1)))
    return found


def largest(boxes):
    """The box of the component with the most cells, the first of them; None where there is none."""
    best = None
    for cells, box in boxes:
        if best is None or cells > best[0]:
            best = cells, box
    return best and best[1]


# --- from boxes to one picture's numbers -----------------------------------------------------------

def overlap(a, b):
    """Pixels in both over pixels in either, counted."""
    columns = len(set(range(a[0], a[2] + 1)) & set(range(b[0], b[2] + 1)))
    rows = len(set(range(a[1], a[3] + 1)) & set(range(b[1], b[3] + 1)))
    pixels = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return columns * rows / (pixels[0] + pixels[1] - columns * rows)


def best_overlap(box, truth):
    """With the true box that fits best; 0 without a box."""
    return max(overlap(box, true) for true in truth) if box else 0.0


def whole_image(photo):
    return 0, 0, photo[0] - 1, photo[1] - 1


def centre_box(photo):
    """0.8 of each side to the nearest pixel; what cannot be halved stays over at the right and below."""
    sides = [max(1, round(0.8 * side)) for side in photo]
    margins = [(side - inner) // 2 for side, inner in zip(photo, sides)]
    return margins[0], margins[1], margins[0] + sides[0] - 1, margins[1] + sides[1] - 1


def guesses(S, k):
    """The k classes with the highest scores."""
    return sorted(range(len(S)), key=lambda c: -S[c])[:k]


def classification_error(S, c, k):
    """0 where one of the k guesses is the true class c."""
    return min(0 if guess == c else 1 for guess in guesses(S, k))


def localisation_error(S, box_of, c, truth, k):
    """min_j max(d_j, f_j): each of the k guesses has the box of its own class's map."""
    errors = []
    for guess in guesses(S, k):
        d = 0 if guess == c else 1
        f = 0 if best_overlap(box_of[guess], truth) >= 0.5 else 1
        errors.append(max(d, f))
    return min(errors)


# --- from many pictures to a measure ----------------------------------------------------------------

def mean(values):
    return sum(values) / len(values)


def best_threshold(overlaps, delta):
    """The threshold of the curve at which most pictures reach delta, the lowest of them."""
    best, most = None, -1
    for i, t in enumerate(CURVE):
        hits = sum(1 for one in overlaps if one[i] >= delta)
        if hits > most:
            best, most = t, hits
    return best


def box_accuracy(overlaps, delta=0.5):
    """Each picture's hits (a list over the curve) at the other half's best threshold, and both thresholds.

    The halves are the pictures 0, 2, 4 ... and 1, 3, 5 ...
    """
    thresholds = [best_threshold(overlaps[1::2], delta), best_threshold(overlaps[0::2], delta)]
    hits = []
    for n, one in enumerate(overlaps):
        t = thresholds[n % 2]
        hits.append(1 if one[CURVE.index(t)] >= delta else 0)
    return hits, thresholds


def wilson(p, n, z=1.959964):
    """The proportions q from which p is z standard errors away: (p - q)^2 = z^2 q (1 - q) / n."""
    a, b, c = 1 + z * z / n, -(2 * p + z * z / n), p * p
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)
