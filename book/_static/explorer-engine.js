// The network of the page "Type a sentence" and its exact state gradients, by the
// formulas of lib/state_gradients/engine/formulas.py. explorer.js makes a Web Worker from
// the text of the two functions, so neither refers to anything outside of itself.

// Embedding -> LSTM (gates i, f, candidate a, o, in Keras's order) -> softmax, read word
// by word. Each word that has been read keeps tangents: row r of `dc` (size x units) is
// how far the cell moves for a step of one standard deviation of that word's embedding
// along the whitened axis r, dc = (dc_t/de D)^T, and `dh` is the same of the output. From
// word to word
//
//   dc <- f dc + dh (U_i [a i(1-i)] + U_f [c' f(1-f)] + U_a [i (1-a^2)])
//   dh <- o (1 - tanh^2 c) dc + dh U_o [tanh(c) o(1-o)],   brackets scaling columns,
//
// and a word's own begin with D^T W in the place of dh U. Memory is the largest singular
// value of dc, relative memory that of a direction d over it, |d dc| / sigma_1.
//
// Influence is what a step changes in the next word's probabilities p, which the softmax
// makes of h by its kernel K: the largest eigenvalue of M = dh F dh^T with its Fisher
// matrix F = K (diag p - p p^T) K^T, exactly. Relative influence is d M d^T over it.
function stateGradients() {
  "use strict";

  // All 65,536 numbers in half precision: sign, five bits of exponent, ten of fraction.
  const HALVES = Float32Array.from({ length: 1 << 16 }, (_, bits) => {
    const sign = bits >> 15 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });

  function decoded({ shape, bits, base64 }) {
    const text = atob(base64);
    const length = shape.reduce((product, size) => product * size, 1);
    if (text.length * 8 !== length * bits) {
      throw new Error(`weights must be ${length} numbers, received ${text.length} bytes`);
    }
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = text.charCodeAt(i);
    if (bits === 32) return new Float32Array(bytes.buffer);
    return new Float32Array(length).map(
      (_, i) => HALVES[bytes[2 * i] | (bytes[2 * i + 1] << 8)],
    );
  }

  // out += row W, for W (row.length, out.length)
  function addProduct(out, row, W) {
    const n = out.length;
    row.forEach((value, k) => {
      for (let u = 0; u < n; u += 1) out[u] += value * W[k * n + u];
    });
  }

  // out = X W, for X (rows, inner) and W (inner, columns), four by four: what takes the
  // time, 16 sums for 8 numbers read.
  function multiply(X, W, out, rows, inner, columns) {
    for (let r = 0; r < rows; r += 4) {
      for (let u = 0; u < columns; u += 4) {
        let s00 = 0, s01 = 0, s02 = 0, s03 = 0;
        let s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        let s20 = 0, s21 = 0, s22 = 0, s23 = 0;
        let s30 = 0, s31 = 0, s32 = 0, s33 = 0;
        for (let k = 0, x = r * inner, w = u; k < inner; k += 1, x += 1, w += columns) {
          const x0 = X[x], x1 = X[x + inner], x2 = X[x + 2 * inner], x3 = X[x + 3 * inner];
          const w0 = W[w], w1 = W[w + 1], w2 = W[w + 2], w3 = W[w + 3];
          s00 += x0 * w0; s01 += x0 * w1; s02 += x0 * w2; s03 += x0 * w3;
          s10 += x1 * w0; s11 += x1 * w1; s12 += x1 * w2; s13 += x1 * w3;
          s20 += x2 * w0; s21 += x2 * w1; s22 += x2 * w2; s23 += x2 * w3;
          s30 += x3 * w0; s31 += x3 * w1; s32 += x3 * w2; s33 += x3 * w3;
        }
        const sums = [
          s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33,
        ];
        for (let i = 0; i < 16; i += 1) {
          out[(r + (i >> 2)) * columns + u + (i & 3)] = sums[i];
        }
      }
    }
  }

  // X Y^T, which is known to be symmetric, for X and Y (rows, columns)
  function symmetric(X, Y, rows, columns) {
    const products = new Float64Array(rows * rows);
    for (let r = 0; r < rows; r += 1) {
      for (let q = 0; q <= r; q += 1) {
        let sum = 0;
        for (let u = 0; u < columns; u += 1) sum += X[r * columns + u] * Y[q * columns + u];
        products[r * rows + q] = products[q * rows + r] = sum;
      }
    }
    return products;
  }

  // The same where columns are many, say all words: four by four, as `multiply` does, and
  // a stretch of columns at a time, which stays in the processor's cache.
  function symmetricOfMany(X, Y, rows, columns) {
    const products = new Float64Array(rows * rows);
    const stretch = 512;
    for (let start = 0; start < columns; start += stretch) {
      const end = Math.min(start + stretch, columns);
      for (let r = 0; r < rows; r += 4) {
        for (let q = 0; q <= r; q += 4) addBlock(r, q, start, end);
      }
    }
    for (let r = 0; r < rows; r += 1) {
      for (let q = 0; q < r; q += 1) products[q * rows + r] = products[r * rows + q];
    }
    return products;

    function addBlock(r, q, start, end) {
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0;
      let s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let s20 = 0, s21 = 0, s22 = 0, s23 = 0;
      let s30 = 0, s31 = 0, s32 = 0, s33 = 0;
      for (let k = start; k < end; k += 1) {
        const x = r * columns + k, y = q * columns + k;
        const x0 = X[x], x1 = X[x + columns], x2 = X[x + 2 * columns], x3 = X[x + 3 * columns];
        const y0 = Y[y], y1 = Y[y + columns], y2 = Y[y + 2 * columns], y3 = Y[y + 3 * columns];
        s00 += x0 * y0; s01 += x0 * y1; s02 += x0 * y2; s03 += x0 * y3;
        s10 += x1 * y0; s11 += x1 * y1; s12 += x1 * y2; s13 += x1 * y3;
        s20 += x2 * y0; s21 += x2 * y1; s22 += x2 * y2; s23 += x2 * y3;
        s30 += x3 * y0; s31 += x3 * y1; s32 += x3 * y2; s33 += x3 * y3;
      }
      const sums = [
        s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33,
      ];
      for (let i = 0; i < 16; i += 1) products[(r + (i >> 2)) * rows + q + (i & 3)] += sums[i];
    }
  }

  // Householder's reflections make a symmetric A (n, n), which is overwritten,
  // tridiagonal: {diagonal, beside}.
  function tridiagonal(A, n) {
    const beside = new Float64Array(n - 1);
    const v = new Float64Array(n);
    const p = new Float64Array(n);
    for (let k = 0; k < n - 1; k += 1) {
      let squares = 0;
      for (let i = k + 1; i < n; i += 1) {
        v[i] = A[i * n + k];
        squares += v[i] * v[i];
      }
      beside[k] = v[k + 1] > 0 ? -Math.sqrt(squares) : Math.sqrt(squares);
      // |v|^2 / 2 once the first entry has been moved
      const half = squares - beside[k] * v[k + 1];
      v[k + 1] -= beside[k];
      if (half === 0) continue;
      let overlap = 0;
      for (let i = k + 1; i < n; i += 1) {
        p[i] = 0;
        for (let j = k + 1; j < n; j += 1) p[i] += A[i * n + j] * v[j];
        p[i] /= half;
        overlap += p[i] * v[i];
      }
      // H A H = A - v w^T - w v^T with p = A v / half, w = p - (v . p) / (2 half) v
      for (let i = k + 1; i < n; i += 1) p[i] -= (overlap / (2 * half)) * v[i];
      for (let i = k + 1; i < n; i += 1) {
        for (let j = k + 1; j < n; j += 1) A[i * n + j] -= v[i] * p[j] + p[i] * v[j];
      }
    }
    return { diagonal: Float64Array.from({ length: n }, (_, i) => A[i * n + i]), beside };
  }

  // Bisection: some eigenvalue of a tridiagonal matrix is above x if any of its pivots,
  // that many less x, is positive (Sylvester's law of inertia).
  function largestEigenvalue({ diagonal, beside }) {
    const n = diagonal.length;
    const isBelowSome = (x) => {
      let pivot = diagonal[0] - x;
      for (let i = 1; i < n && pivot <= 0; i += 1) {
        pivot = diagonal[i] - x - beside[i - 1] ** 2 / (pivot || -Number.MIN_VALUE);
      }
      return pivot > 0;
    };
    let low = 0; // a Gram matrix has no eigenvalue below
    let high = 0; // Gershgorin: none above
    for (let i = 0; i < n; i += 1) {
      const around = Math.abs(beside[i - 1] ?? 0) + Math.abs(beside[i] ?? 0);
      high = Math.max(high, diagonal[i] + around);
    }
    for (let halving = 0; halving < 60; halving += 1) {
      const middle = (low + high) / 2;
      if (isBelowSome(middle)) low = middle;
      else high = middle;
    }
    return high;
  }

  function softmax(logits) {
    const most = logits.reduce((a, b) => Math.max(a, b));
    const shares = logits.map((logit) => Math.exp(logit - most));
    const sum = shares.reduce((a, b) => a + b);
    return shares.map((share) => share / sum);
  }

  // The n most probable ids, with their probabilities
  function mostProbable(probabilities, n) {
    const ids = [...probabilities.keys()];
    ids.sort((a, b) => probabilities[b] - probabilities[a]);
    return ids.slice(0, n).map((id) => ({ id, probability: probabilities[id] }));
  }

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  class Network {
    constructor({ arrays }) {
      this.size = arrays.embedding.shape[1];
      this.units = arrays.recurrentKernel.shape[0];
      if (this.size % 4 || this.units % 4) {
        const sizes = `${this.size} and ${this.units}`;
        throw new Error(`embedding and units must be multiples of 4, received ${sizes}`);
      }
      for (const [name, array] of Object.entries(arrays)) this[name] = decoded(array);
      const { size, units, whitening } = this;
      this.whitenedKernel = new Float64Array(size * 4 * units); // D^T W
      for (let axis = 0; axis < size; axis += 1) {
        const column = Array.from({ length: size }, (_, e) => whitening[e * size + axis]);
        const row = this.whitenedKernel.subarray(axis * 4 * units, (axis + 1) * 4 * units);
        addProduct(row, column, this.kernel);
      }
      this.begin();
    }

    // Forget the text: the state is zero again.
    begin() {
      this.ids = [];
      this.steps = []; // what `read` has returned
      this.hidden = new Float64Array(this.units);
      this.cell = new Float64Array(this.units);
      this.tangents = []; // {dc, dh} of each word that has been read
      this.probabilities = null; // of the next word
    }

    // Read one word, and return what is known after it:
    //   came           its probability and its rank (1 was expected most), from before
    //   next           the words that are expected most
    //   memory         {value, relative, chance} of each word so far: sigma_1, relative
    //                  memory by property, and what a random direction would have
    //   influence      the same in nats, if it is wanted
    read(id, { influence }) {
      const came = this.probabilities && this.howExpected(id);
      this.advance(id);
      const logits = Float64Array.from(this.outputBias);
      addProduct(logits, this.hidden, this.outputKernel);
      this.probabilities = softmax(logits);
      const step = {
        came,
        next: mostProbable(this.probabilities, 8),
        memory: this.tangents.map(({ dc }) => this.memory(dc)),
      };
      if (influence) {
        const information = this.information();
        step.influence = this.tangents.map(({ dh }) => this.influence(dh, information));
      }
      this.ids.push(id);
      this.steps.push(step);
      return step;
    }

    howExpected(id) {
      const probability = this.probabilities[id];
      const rank = 1 + this.probabilities.filter((other) => other > probability).length;
      return { probability, rank };
    }

    advance(id) {
      const n = this.units;
      const z = Float64Array.from(this.bias);
      const embedding = this.embedding.subarray(id * this.size, (id + 1) * this.size);
      addProduct(z, embedding, this.kernel);
      addProduct(z, this.hidden, this.recurrentKernel);
      const hidden = new Float64Array(n);
      const cell = new Float64Array(n);
      const slopes = {
        f: new Float64Array(n), // of c by c'
        h: new Float64Array(n), // of h by c
        z: new Float64Array(4 * n), // of c by what goes into i, f and a; of h by o's
      };
      for (let u = 0; u < n; u += 1) {
        const i = sigmoid(z[u]);
        const f = sigmoid(z[n + u]);
        const a = Math.tanh(z[2 * n + u]);
        const o = sigmoid(z[3 * n + u]);
        cell[u] = f * this.cell[u] + i * a;
        const squashed = Math.tanh(cell[u]);
        hidden[u] = o * squashed;
        slopes.f[u] = f;
        slopes.h[u] = o * (1 - squashed * squashed);
        slopes.z[u] = a * i * (1 - i);
        slopes.z[n + u] = this.cell[u] * f * (1 - f);
        slopes.z[2 * n + u] = i * (1 - a * a);
        slopes.z[3 * n + u] = squashed * o * (1 - o);
      }
      const recurrent = this.scaled(this.recurrentKernel, n, slopes.z);
      const driven = new Float64Array(this.size * 2 * n);
      for (const tangents of this.tangents) {
        multiply(tangents.dh, recurrent, driven, this.size, n, 2 * n);
        this.addDriven(tangents, driven, slopes);
      }
      const zeros = () => new Float64Array(this.size * n);
      this.tangents.push({ dc: zeros(), dh: zeros() });
      const ofInput = this.scaled(this.whitenedKernel, this.size, slopes.z);
      this.addDriven(this.tangents.at(-1), ofInput, slopes);
      this.hidden = hidden;
      this.cell = cell;
    }

    // A kernel (rows, 4 units) as it drives c and, but for what comes by way of c, h
    // (rows, 2 units): gates i, f and a by their slopes and summed, then o by its slope.
    scaled(kernel, rows, slopes) {
      const n = this.units;
      const out = new Float64Array(rows * 2 * n);
      for (let r = 0; r < rows; r += 1) {
        for (let u = 0; u < n; u += 1) {
          const at = r * 4 * n + u;
          out[r * 2 * n + u] =
            kernel[at] * slopes[u] +
            kernel[at + n] * slopes[n + u] +
            kernel[at + 2 * n] * slopes[2 * n + u];
          out[r * 2 * n + n + u] = kernel[at + 3 * n] * slopes[3 * n + u];
        }
      }
      return out;
    }

    addDriven({ dc, dh }, driven, slopes) {
      const n = this.units;
      for (let r = 0; r < this.size; r += 1) {
        for (let u = 0; u < n; u += 1) {
          const at = r * n + u;
          dc[at] = slopes.f[u] * dc[at] + driven[r * 2 * n + u];
          dh[at] = slopes.h[u] * dc[at] + driven[r * 2 * n + n + u];
        }
      }
    }

    // F of what is predicted now, (units, units)
    information() {
      const { units, outputKernel, probabilities } = this;
      const n = probabilities.length;
      const weighted = new Float64Array(units * n); // K diag p
      const mean = new Float64Array(units); // K p
      for (let u = 0; u < units; u += 1) {
        for (let word = 0, at = u * n; word < n; word += 1, at += 1) {
          weighted[at] = outputKernel[at] * probabilities[word];
          mean[u] += weighted[at];
        }
      }
      const information = symmetricOfMany(outputKernel, weighted, units, n);
      return information.map((sum, i) => sum - mean[Math.floor(i / units)] * mean[i % units]);
    }

    memory(dc) {
      const { largest, chance, shares } = this.measure(symmetric(dc, dc, this.size, this.units));
      const [value, ...lengths] = [largest, chance, ...shares].map(Math.sqrt);
      return { value, chance: lengths[0], relative: lengths.slice(1) };
    }

    influence(dh, information) {
      const { size, units } = this;
      const weighted = new Float64Array(size * units);
      multiply(dh, information, weighted, size, units, units);
      const { largest, chance, shares } = this.measure(symmetric(weighted, dh, size, units));
      return { value: largest, chance, relative: shares };
    }

    // Of a quadratic form M (size, size): its largest value for a step of length 1, and
    // what random directions and those of properties reach of that. M is overwritten.
    measure(M) {
      const { size, directions } = this;
      let trace = 0;
      for (let r = 0; r < size; r += 1) trace += M[r * size + r];
      const values = [];
      for (let start = 0; start < directions.length; start += size) {
        const d = directions.subarray(start, start + size);
        const moved = new Float64Array(size);
        addProduct(moved, d, M);
        values.push(d.reduce((sum, value, k) => sum + value * moved[k], 0));
      }
      const largest = largestEigenvalue(tridiagonal(M, size));
      return {
        largest,
        chance: trace / size / largest,
        shares: values.map((value) => value / largest),
      };
    }

    // Yield what is known after each word of a text; what it shares with the last one,
    // from its beginning on, is not read again, unless its influence is wanted only now.
    *follow(ids, wanted) {
      const isLacking = wanted.influence && this.steps.some(({ influence }) => !influence);
      if (isLacking || this.ids.some((id, t) => id !== ids[t])) this.begin();
      for (const [t, id] of ids.entries()) yield this.steps[t] ?? this.read(id, wanted);
    }
  }

  return { Network };
}

// What the worker does: {name, network} makes a network, {name, request, ids, wanted} reads
// a text with it. A newer request ends an older one between two words.
function answerThePage({ Network }) {
  const networks = new Map();
  const pause = () => new Promise((resume) => setTimeout(resume));
  let latest = null;

  async function read({ name, request, ids, wanted }) {
    latest = request;
    if (!networks.has(name)) return; // why, has been said
    for (const step of networks.get(name).follow(ids, wanted)) {
      postMessage({ request, step });
      await pause();
      if (latest !== request) return;
    }
    postMessage({ request, isDone: true });
  }

  self.onmessage = async ({ data }) => {
    try {
      if (data.network) networks.set(data.name, new Network(data.network));
      else await read(data);
    } catch (error) {
      postMessage({ request: data.request, error: error.message });
    }
  };
}
