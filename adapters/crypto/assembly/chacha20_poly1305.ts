/**
 * ChaCha20-Poly1305 (RFC 8439) for WebAssembly with 128-bit vectors, in AssemblyScript. `tools/build_wasm.mjs` compiles
 * it into `adapters/crypto/chacha20_poly1305_wasm.ts`.
 *
 * Three blocks of ChaCha20 go side by side, a vector for each row: with the vectors that turning them takes they just
 * fit sixteen registers, where four blocks in any order do not (JavaScriptCore took 40 % longer for four, V8 6 % less).
 * The integer units, idle meanwhile, do the Poly1305 of what is ciphertext already: that makes it nearly free.
 *
 * Poly1305 has limbs of 32 bits. A clamped r has 28 in each, and all but the first are multiples of four (RFC 8439
 * §2.5), so that 5/4 of them is whole. With a block added, h has less than 2^33.6 in the first limb and 2^33 in the
 * others: the five products of a limb stay below 2^63.4, and no carry is needed between adding and multiplying.
 *
 * The invariants to hold: no branch, no address and no shift depends on anything but lengths; and secrets live in
 * parameters and locals, in memory and globals only where they are wiped before the function returns.
 *
 * @module
 */

/** Where the associated data lies. */
export const ASSOCIATED_AT: usize = 0;
/** How much associated data there is room for, besides its padding. */
export const ASSOCIATED_BYTES_MAX: usize = 1008;
/** How much text there is room for, besides its tag: a package of 64 KiB. */
export const TEXT_BYTES_MAX: usize = 65536;

const BLOCK_BYTES: usize = 64;
const BATCH_BYTES: usize = 192;

/** Where input lies: behind the associated data, its padding, and a block. */
export const INPUT_AT: usize = ASSOCIATED_BYTES_MAX + 16 + BLOCK_BYTES;
/** Where output lies: behind the input, its tag, what is left of a batch, and a block. */
export const OUTPUT_AT: usize = INPUT_AT + TEXT_BYTES_MAX + 16 + BATCH_BYTES + BLOCK_BYTES;

const LOW: u64 = 0xffffffff;

// Poly1305 while no batch is under way. Wiped by `finish`.
let g0: u64 = 0;
let g1: u64 = 0;
let g2: u64 = 0;
let g3: u64 = 0;
let g4: u64 = 0;
let gr0: u64 = 0;
let gr1: u64 = 0;
let gr2: u64 = 0;
let gr3: u64 = 0;

// @ts-ignore: a decorator of AssemblyScript
@inline
function turn16(x: v128): v128 {
  return i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function turn12(x: v128): v128 {
  return v128.or(i32x4.shl(x, 12), i32x4.shr_u(x, 20));
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function turn8(x: v128): v128 {
  return i8x16.swizzle(x, i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function turn7(x: v128): v128 {
  return v128.or(i32x4.shl(x, 7), i32x4.shr_u(x, 25));
}

/** Four words as a row of the state. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function words(word0: i32, word1: i32, word2: i32, word3: i32): v128 {
  const first = i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(word0), 1, word1), 2, word2);
  return i32x4.replace_lane(first, 3, word3);
}

/** A block of the keystream, added to the text. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function xorBlock(source: usize, target: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(target, v128.xor(v128.load(source), a));
  v128.store(target, v128.xor(v128.load(source, 16), b), 16);
  v128.store(target, v128.xor(v128.load(source, 32), c), 32);
  v128.store(target, v128.xor(v128.load(source, 48), d), 48);
}

/** Poly1305 of the whole blocks from `at` to before `end`. */
function absorb(at: usize, end: usize): void {
  const r0 = gr0;
  const r1 = gr1;
  const r2 = gr2;
  const r3 = gr3;
  const s1 = r1 + (r1 >> 2);
  const s2 = r2 + (r2 >> 2);
  const s3 = r3 + (r3 >> 2);
  let h0 = g0;
  let h1 = g1;
  let h2 = g2;
  let h3 = g3;
  let h4 = g4;
  let d0: u64, d1: u64, d2: u64, d3: u64;
  for (; at < end; at += 16) {
    h0 += u64(load<u32>(at));
    h1 += u64(load<u32>(at, 4));
    h2 += u64(load<u32>(at, 8));
    h3 += u64(load<u32>(at, 12));
    h4 += 1;
    d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
    d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
    d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
    d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
    h4 = h4 * r0 + (d3 >> 32);
    h0 = (d0 & LOW) + (h4 >> 2) * 5;
    h1 = d1 & LOW;
    h2 = d2 & LOW;
    h3 = d3 & LOW;
    h4 &= 3;
  }
  g0 = h0;
  g1 = h1;
  g2 = h2;
  g3 = h3;
  g4 = h4;
}

/** The same for bytes that need not fill a block; zeros are written behind them. RFC 8439 §2.8. */
function absorbPadded(at: usize, end: usize): void {
  v128.store(end, i64x2.splat(0));
  absorb(at, at + ((end - at + 15) & ~15));
}

/**
 * Seals (`isOpening` is 0) or opens `length` bytes of input into output. The key is given word by word.
 * Sealing: the tag follows the output; returns 0.
 * Opening: the tag follows the input; returns 0 when it is right. Then only may output be read.
 */
export function run(
  isOpening: i32,
  associatedLength: usize,
  length: usize,
  key0: i32,
  key1: i32,
  key2: i32,
  key3: i32,
  key4: i32,
  key5: i32,
  key6: i32,
  key7: i32,
  nonce0: i32,
  nonce1: i32,
  nonce2: i32,
): i32 {
  const authentic: usize = isOpening ? INPUT_AT : OUTPUT_AT; // Poly1305 is of the ciphertext.
  let r0: u64 = 0;
  let r1: u64 = 0;
  let r2: u64 = 0;
  let r3: u64 = 0;
  let s1: u64 = 0;
  let s2: u64 = 0;
  let s3: u64 = 0;
  let h0: u64 = 0;
  let h1: u64 = 0;
  let h2: u64 = 0;
  let h3: u64 = 0;
  let h4: u64 = 0;
  let d0: u64, d1: u64, d2: u64, d3: u64;
  let pad0: u64 = 0;
  let pad1: u64 = 0;
  const rowA = i32x4(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);
  const rowB = words(key0, key1, key2, key3);
  const rowC = words(key4, key5, key6, key7);
  let rowE = words(0, nonce0, nonce1, nonce2);
  // Block 0 is the key of Poly1305: the text begins with block 1. RFC 8439 §2.6.
  let source: usize = INPUT_AT - BLOCK_BYTES;
  let target: usize = OUTPUT_AT - BLOCK_BYTES;
  let at: usize = authentic; // how far Poly1305 came
  let ready: usize = authentic; // how far it may go
  const end: usize = OUTPUT_AT + length;

  do {
    // Three blocks of four rows; row d of RFC 8439 is e here, as d is a product of Poly1305.
    let a0 = rowA;
    let b0 = rowB;
    let c0 = rowC;
    let e0 = rowE;
    let a1 = rowA;
    let b1 = rowB;
    let c1 = rowC;
    let e1 = i32x4.add(rowE, i32x4(1, 0, 0, 0));
    let a2 = rowA;
    let b2 = rowB;
    let c2 = rowC;
    let e2 = i32x4.add(rowE, i32x4(2, 0, 0, 0));
    for (let round = 0; round < 20; round += 2) {
      // A round of the columns. RFC 8439 §2.3.
      a0 = i32x4.add(a0, b0);
      a1 = i32x4.add(a1, b1);
      a2 = i32x4.add(a2, b2);
      e0 = turn16(v128.xor(e0, a0));
      e1 = turn16(v128.xor(e1, a1));
      e2 = turn16(v128.xor(e2, a2));
      c0 = i32x4.add(c0, e0);
      c1 = i32x4.add(c1, e1);
      c2 = i32x4.add(c2, e2);
      b0 = turn12(v128.xor(b0, c0));
      b1 = turn12(v128.xor(b1, c1));
      b2 = turn12(v128.xor(b2, c2));
      a0 = i32x4.add(a0, b0);
      a1 = i32x4.add(a1, b1);
      a2 = i32x4.add(a2, b2);
      e0 = turn8(v128.xor(e0, a0));
      e1 = turn8(v128.xor(e1, a1));
      e2 = turn8(v128.xor(e2, a2));
      c0 = i32x4.add(c0, e0);
      c1 = i32x4.add(c1, e1);
      c2 = i32x4.add(c2, e2);
      b0 = turn7(v128.xor(b0, c0));
      b1 = turn7(v128.xor(b1, c1));
      b2 = turn7(v128.xor(b2, c2));
      // Diagonals become columns. It is b that stays, as the round to come waits for it.
      a0 = i32x4.shuffle(a0, a0, 3, 0, 1, 2);
      a1 = i32x4.shuffle(a1, a1, 3, 0, 1, 2);
      a2 = i32x4.shuffle(a2, a2, 3, 0, 1, 2);
      c0 = i32x4.shuffle(c0, c0, 1, 2, 3, 0);
      c1 = i32x4.shuffle(c1, c1, 1, 2, 3, 0);
      c2 = i32x4.shuffle(c2, c2, 1, 2, 3, 0);
      e0 = i32x4.shuffle(e0, e0, 2, 3, 0, 1);
      e1 = i32x4.shuffle(e1, e1, 2, 3, 0, 1);
      e2 = i32x4.shuffle(e2, e2, 2, 3, 0, 1);
      // A round of the diagonals.
      a0 = i32x4.add(a0, b0);
      a1 = i32x4.add(a1, b1);
      a2 = i32x4.add(a2, b2);
      e0 = turn16(v128.xor(e0, a0));
      e1 = turn16(v128.xor(e1, a1));
      e2 = turn16(v128.xor(e2, a2));
      c0 = i32x4.add(c0, e0);
      c1 = i32x4.add(c1, e1);
      c2 = i32x4.add(c2, e2);
      b0 = turn12(v128.xor(b0, c0));
      b1 = turn12(v128.xor(b1, c1));
      b2 = turn12(v128.xor(b2, c2));
      a0 = i32x4.add(a0, b0);
      a1 = i32x4.add(a1, b1);
      a2 = i32x4.add(a2, b2);
      e0 = turn8(v128.xor(e0, a0));
      e1 = turn8(v128.xor(e1, a1));
      e2 = turn8(v128.xor(e2, a2));
      c0 = i32x4.add(c0, e0);
      c1 = i32x4.add(c1, e1);
      c2 = i32x4.add(c2, e2);
      b0 = turn7(v128.xor(b0, c0));
      b1 = turn7(v128.xor(b1, c1));
      b2 = turn7(v128.xor(b2, c2));
      // And back.
      a0 = i32x4.shuffle(a0, a0, 1, 2, 3, 0);
      a1 = i32x4.shuffle(a1, a1, 1, 2, 3, 0);
      a2 = i32x4.shuffle(a2, a2, 1, 2, 3, 0);
      c0 = i32x4.shuffle(c0, c0, 3, 0, 1, 2);
      c1 = i32x4.shuffle(c1, c1, 3, 0, 1, 2);
      c2 = i32x4.shuffle(c2, c2, 3, 0, 1, 2);
      e0 = i32x4.shuffle(e0, e0, 2, 3, 0, 1);
      e1 = i32x4.shuffle(e1, e1, 2, 3, 0, 1);
      e2 = i32x4.shuffle(e2, e2, 2, 3, 0, 1);
      if (at < ready) {
        h0 += u64(load<u32>(at));
        h1 += u64(load<u32>(at, 4));
        h2 += u64(load<u32>(at, 8));
        h3 += u64(load<u32>(at, 12));
        h4 += 1;
        d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
        d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
        d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
        h4 = h4 * r0 + (d3 >> 32);
        h0 = (d0 & LOW) + (h4 >> 2) * 5;
        h1 = d1 & LOW;
        h2 = d2 & LOW;
        h3 = d3 & LOW;
        h4 &= 3;
        h0 += u64(load<u32>(at, 16));
        h1 += u64(load<u32>(at, 20));
        h2 += u64(load<u32>(at, 24));
        h3 += u64(load<u32>(at, 28));
        h4 += 1;
        d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
        d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
        d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
        h4 = h4 * r0 + (d3 >> 32);
        h0 = (d0 & LOW) + (h4 >> 2) * 5;
        h1 = d1 & LOW;
        h2 = d2 & LOW;
        h3 = d3 & LOW;
        h4 &= 3;
        at += 32;
      }
    }
    a0 = i32x4.add(a0, rowA);
    b0 = i32x4.add(b0, rowB);
    c0 = i32x4.add(c0, rowC);
    e0 = i32x4.add(e0, rowE);
    a1 = i32x4.add(a1, rowA);
    b1 = i32x4.add(b1, rowB);
    c1 = i32x4.add(c1, rowC);
    e1 = i32x4.add(e1, i32x4.add(rowE, i32x4(1, 0, 0, 0)));
    a2 = i32x4.add(a2, rowA);
    b2 = i32x4.add(b2, rowB);
    c2 = i32x4.add(c2, rowC);
    e2 = i32x4.add(e2, i32x4.add(rowE, i32x4(2, 0, 0, 0)));
    if (target < OUTPUT_AT) {
      r0 = u64(i32x4.extract_lane(a0, 0) & 0x0fffffff);
      r1 = u64(i32x4.extract_lane(a0, 1) & 0x0ffffffc);
      r2 = u64(i32x4.extract_lane(a0, 2) & 0x0ffffffc);
      r3 = u64(i32x4.extract_lane(a0, 3) & 0x0ffffffc);
      s1 = r1 + (r1 >> 2);
      s2 = r2 + (r2 >> 2);
      s3 = r3 + (r3 >> 2);
      pad0 = i64x2.extract_lane(b0, 0);
      pad1 = i64x2.extract_lane(b0, 1);
      gr0 = r0;
      gr1 = r1;
      gr2 = r2;
      gr3 = r3;
      absorbPadded(ASSOCIATED_AT, ASSOCIATED_AT + associatedLength);
      h0 = g0;
      h1 = g1;
      h2 = g2;
      h3 = g3;
      h4 = g4;
    }
    xorBlock(source + 0, target + 0, a0, b0, c0, e0);
    xorBlock(source + 64, target + 64, a1, b1, c1, e1);
    xorBlock(source + 128, target + 128, a2, b2, c2, e2);
    source += BATCH_BYTES;
    target += BATCH_BYTES;
    ready = authentic + (target - OUTPUT_AT);
    rowE = i32x4.add(rowE, i32x4(3, 0, 0, 0));
  } while (target < end);

  // The key of Poly1305 was written in front of the output.
  const zero = i64x2.splat(0);
  v128.store(OUTPUT_AT - BLOCK_BYTES, zero);
  v128.store(OUTPUT_AT - BLOCK_BYTES, zero, 16);
  v128.store(OUTPUT_AT - BLOCK_BYTES, zero, 32);
  v128.store(OUTPUT_AT - BLOCK_BYTES, zero, 48);
  g0 = h0;
  g1 = h1;
  g2 = h2;
  g3 = h3;
  g4 = h4;
  const tagAt = authentic + length;
  const tag0 = load<u64>(tagAt);
  const tag1 = load<u64>(tagAt, 8);
  absorbPadded(at, tagAt);
  store<u64>(tagAt, u64(associatedLength));
  store<u64>(tagAt, u64(length), 8);
  absorb(tagAt, tagAt + 16);
  finish(tagAt, pad0, pad1);
  if (!isOpening) return 0;
  const difference = (tag0 ^ load<u64>(tagAt)) | (tag1 ^ load<u64>(tagAt, 8));
  if (difference == 0) return 0; // The only thing that is told of the tag.
  memory.fill(OUTPUT_AT, 0, length);
  return 1;
}

/** Writes the tag: h in full reduction, plus the pad. RFC 8439 §2.5.1. Wipes the globals. */
function finish(tagAt: usize, pad0: u64, pad1: u64): void {
  let h1 = g1 + (g0 >> 32);
  let h2 = g2 + (h1 >> 32);
  let h3 = g3 + (h2 >> 32);
  let h4 = g4 + (h3 >> 32);
  let h0 = (g0 & LOW) + (h4 >> 2) * 5;
  h1 = (h1 & LOW) + (h0 >> 32);
  h2 = (h2 & LOW) + (h1 >> 32);
  h3 = (h3 & LOW) + (h2 >> 32);
  h4 = (h4 & 3) + (h3 >> 32);
  // h + 5 reaches 2^130 exactly when h is not below 2^130 - 5: then its low bits are h modulo that.
  const t0 = (h0 & LOW) + 5;
  const t1 = (h1 & LOW) + (t0 >> 32);
  const t2 = (h2 & LOW) + (t1 >> 32);
  const t3 = (h3 & LOW) + (t2 >> 32);
  const mask = 0 - ((h4 + (t3 >> 32)) >> 2);
  const low = (h0 & LOW) | (h1 << 32);
  const high = (h2 & LOW) | (h3 << 32);
  const wrapped0 = (t0 & LOW) | (t1 << 32);
  const wrapped1 = (t2 & LOW) | (t3 << 32);
  const sum = (low ^ (mask & (low ^ wrapped0))) + pad0;
  store<u64>(tagAt, sum);
  store<u64>(tagAt, (high ^ (mask & (high ^ wrapped1))) + pad1 + u64(sum < pad0), 8);
  g0 = g1 = g2 = g3 = g4 = 0;
  gr0 = gr1 = gr2 = gr3 = 0;
}
