"""The equations as loops: the specification that the fast forms are held to.

Written from the paper's formulas with Python numbers only, sharing nothing with
cam_numpy. Slow on purpose.
"""

import math


def shape(f):
    return len(f), len(f[0]), len(f[0][0])


def pooled_sum(f):
    """F_k = sum_xy f_k(x, y), the paper's literal form."""
    K, H, W = shape(f)
    F = [0.0] * K
    for k in range(K):
        for y in range(H):
            for x in range(W):
                F[k] += f[k][y][x]
    return F


def pooled_mean(f):
    """F_k = mean_xy f_k(x, y)."""
    _, H, W = shape(f)
    return [F_k / (H * W) for F_k in pooled_sum(f)]


def pooled_max(f):
    """F_k = max_xy f_k(x, y)."""
    K, H, W = shape(f)
    F = [-math.inf] * K
    for k in range(K):
        for y in range(H):
            for x in range(W):
                if f[k][y][x] > F[k]:
                    F[k] = f[k][y][x]
    return F


def scores(F, w, b):
    """S_c = sum_k w_k^c F_k + b_c."""
    S = []
    for c in range(len(w)):
        S_c = b[c]
        for k in range(len(F)):
            S_c += w[c][k] * F[k]
        S.append(S_c)
    return S


def probabilities(S):
    """P_c = exp(S_c) / sum_c exp(S_c)."""
    total = 0.0
    for S_c in S:
        total += math.exp(S_c)
    return [math.exp(S_c) / total for S_c in S]


def activation_map(f, w, c):
    """M_c(x, y) = sum_k w_k^c f_k(x, y)."""
    K, H, W = shape(f)
    M = [[0.0] * W for _ in range(H)]
    for y in range(H):
        for x in range(W):
            for k in range(K):
                M[y][x] += w[c][k] * f[k][y][x]
    return M


def enlarged(M, height, width):
    """Each pixel's centre looked up in the map, between the four cells around it."""
    H, W = len(M), len(M[0])

    def at(y, x):
        return M[min(max(y, 0), H - 1)][min(max(x, 0), W - 1)]

    out = [[0.0] * width for _ in range(height)]
    for Y in range(height):
        for X in range(width):
            y, x = (Y + 0.5) * H / height - 0.5, (X + 0.5) * W / width - 0.5
            y0, x0 = math.floor(y), math.floor(x)
            v, u = y - y0, x - x0
            out[Y][X] = (
                (1 - v) * (1 - u) * at(y0, x0) + (1 - v) * u * at(y0, x0 + 1)
                + v * (1 - u) * at(y0 + 1, x0) + v * u * at(y0 + 1, x0 + 1)
            )
    return out


def contributions(F, w, c):
    """w_k^c F_k of each unit."""
    products = []
    for k in range(len(F)):
        products.append(w[c][k] * F[k])
    return products


def carrying(products, fraction):
    """The smallest n for which n units can carry the fraction of the evidence: the n largest do."""
    evidence = 0.0
    for product in products:
        evidence += max(product, 0.0)
    n, carried, left = 0, 0.0, list(products)
    while evidence > 0 and carried < fraction * evidence * (1 - 1e-12):
        best = max(left)
        left.remove(best)
        n, carried = n + 1, carried + best
    return n


def pooling_gradient(pool, f, g):
    """dL/df_k(x, y) of L = sum_k g_k F_k, F = pool(f): by central differences, each cell in turn."""
    K, H, W = shape(f)
    step = 1e-4

    def L(f):
        return sum(g_k * F_k for g_k, F_k in zip(g, pool(f)))

    slope = [[[0.0] * W for _ in range(H)] for _ in range(K)]
    for k in range(K):
        for y in range(H):
            for x in range(W):
                higher, lower = ([[list(row) for row in f_k] for f_k in f] for _ in range(2))
                higher[k][y][x] += step
                lower[k][y][x] -= step
                slope[k][y][x] = (L(higher) - L(lower)) / (2 * step)
    return slope


def grad_cam(f, gradient):
    """max(0, sum_k a_k f_k(x, y)), where a_k is the mean over all places of the gradient of S_c."""
    raw = activation_map(f, [pooled_mean(gradient)], 0)
    return [[max(0.0, value) for value in row] for row in raw]


def regression_loss(X, labels, v, a, l2):
    """mean_i -log P_c(i) + l2 / 2 sum_ck v_ck^2, with the scores S_c = sum_k v_ck x_k + a_c."""
    loss = 0.0
    for x, c in zip(X, labels):
        loss -= math.log(probabilities(scores(x, v, a))[c]) / len(X)
    for v_c in v:
        for v_ck in v_c:
            loss += l2 / 2 * v_ck * v_ck
    return loss


def regression_gradient(X, labels, v, a, l2):
    """Its derivatives, by each v_ck and by each a_c: what is believed less what is true, times x_k."""
    of_v = [[l2 * v_ck for v_ck in v_c] for v_c in v]
    of_a = [0.0] * len(a)
    for x, true in zip(X, labels):
        P = probabilities(scores(x, v, a))
        for c in range(len(a)):
            error = (P[c] - (1 if c == true else 0)) / len(X)
            of_a[c] += error
            for k in range(len(x)):
                of_v[c][k] += error * x[k]
    return of_v, of_a
