/**
 * ChaCha20-Poly1305 (RFC 8439) for WebAssembly with 128-bit vectors, in AssemblyScript. `tools/build_wasm.mjs` compiles
 * it into `adapters/crypto/chacha20_poly1305_wasm.ts`.
 *
 * Four blocks of ChaCha20 go side by side, one in each lane of a vector; the integer units, idle meanwhile, do the
 * Poly1305 of what is ciphertext already. Poly1305 has limbs of 32 bits: a clamped r has 28 in each (RFC 8439 §2.5), so
 * that five products fit 64 bits.
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
const BATCH_BYTES: usize = 256;

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

/** Four words of four blocks, one block in each lane: turned so that a vector is of one block, and added to the text. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function xorTransposed(source: usize, target: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab0 = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const ab1 = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cd0 = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const cd1 = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(target, v128.xor(v128.load(source), i64x2.shuffle(ab0, cd0, 0, 2)));
  v128.store(target, v128.xor(v128.load(source, 64), i64x2.shuffle(ab0, cd0, 1, 3)), 64);
  v128.store(target, v128.xor(v128.load(source, 128), i64x2.shuffle(ab1, cd1, 0, 2)), 128);
  v128.store(target, v128.xor(v128.load(source, 192), i64x2.shuffle(ab1, cd1, 1, 3)), 192);
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
  let counter = i32x4(0, 1, 2, 3);
  // Block 0 is the key of Poly1305: the text begins with block 1. RFC 8439 §2.6.
  let source: usize = INPUT_AT - BLOCK_BYTES;
  let target: usize = OUTPUT_AT - BLOCK_BYTES;
  let at: usize = authentic; // how far Poly1305 came
  let ready: usize = authentic; // how far it may go
  const end: usize = OUTPUT_AT + length;

  do {
    let x0: v128 = i32x4.splat(0x61707865);
    let x1: v128 = i32x4.splat(0x3320646e);
    let x2: v128 = i32x4.splat(0x79622d32);
    let x3: v128 = i32x4.splat(0x6b206574);
    let x4: v128 = i32x4.splat(key0);
    let x5: v128 = i32x4.splat(key1);
    let x6: v128 = i32x4.splat(key2);
    let x7: v128 = i32x4.splat(key3);
    let x8: v128 = i32x4.splat(key4);
    let x9: v128 = i32x4.splat(key5);
    let x10: v128 = i32x4.splat(key6);
    let x11: v128 = i32x4.splat(key7);
    let x12: v128 = counter;
    let x13: v128 = i32x4.splat(nonce0);
    let x14: v128 = i32x4.splat(nonce1);
    let x15: v128 = i32x4.splat(nonce2);
    for (let round = 0; round < 20; round += 2) {
      // A round of the columns. RFC 8439 §2.3.
      x0 = i32x4.add(x0, x4);
      x1 = i32x4.add(x1, x5);
      x2 = i32x4.add(x2, x6);
      x3 = i32x4.add(x3, x7);
      x12 = turn16(v128.xor(x12, x0));
      x13 = turn16(v128.xor(x13, x1));
      x14 = turn16(v128.xor(x14, x2));
      x15 = turn16(v128.xor(x15, x3));
      x8 = i32x4.add(x8, x12);
      x9 = i32x4.add(x9, x13);
      x10 = i32x4.add(x10, x14);
      x11 = i32x4.add(x11, x15);
      x4 = turn12(v128.xor(x4, x8));
      x5 = turn12(v128.xor(x5, x9));
      x6 = turn12(v128.xor(x6, x10));
      x7 = turn12(v128.xor(x7, x11));
      x0 = i32x4.add(x0, x4);
      x1 = i32x4.add(x1, x5);
      x2 = i32x4.add(x2, x6);
      x3 = i32x4.add(x3, x7);
      x12 = turn8(v128.xor(x12, x0));
      x13 = turn8(v128.xor(x13, x1));
      x14 = turn8(v128.xor(x14, x2));
      x15 = turn8(v128.xor(x15, x3));
      x8 = i32x4.add(x8, x12);
      x9 = i32x4.add(x9, x13);
      x10 = i32x4.add(x10, x14);
      x11 = i32x4.add(x11, x15);
      x4 = turn7(v128.xor(x4, x8));
      x5 = turn7(v128.xor(x5, x9));
      x6 = turn7(v128.xor(x6, x10));
      x7 = turn7(v128.xor(x7, x11));
      // A round of the diagonals. RFC 8439 §2.3.
      x0 = i32x4.add(x0, x5);
      x1 = i32x4.add(x1, x6);
      x2 = i32x4.add(x2, x7);
      x3 = i32x4.add(x3, x4);
      x15 = turn16(v128.xor(x15, x0));
      x12 = turn16(v128.xor(x12, x1));
      x13 = turn16(v128.xor(x13, x2));
      x14 = turn16(v128.xor(x14, x3));
      x10 = i32x4.add(x10, x15);
      x11 = i32x4.add(x11, x12);
      x8 = i32x4.add(x8, x13);
      x9 = i32x4.add(x9, x14);
      x5 = turn12(v128.xor(x5, x10));
      x6 = turn12(v128.xor(x6, x11));
      x7 = turn12(v128.xor(x7, x8));
      x4 = turn12(v128.xor(x4, x9));
      x0 = i32x4.add(x0, x5);
      x1 = i32x4.add(x1, x6);
      x2 = i32x4.add(x2, x7);
      x3 = i32x4.add(x3, x4);
      x15 = turn8(v128.xor(x15, x0));
      x12 = turn8(v128.xor(x12, x1));
      x13 = turn8(v128.xor(x13, x2));
      x14 = turn8(v128.xor(x14, x3));
      x10 = i32x4.add(x10, x15);
      x11 = i32x4.add(x11, x12);
      x8 = i32x4.add(x8, x13);
      x9 = i32x4.add(x9, x14);
      x5 = turn7(v128.xor(x5, x10));
      x6 = turn7(v128.xor(x6, x11));
      x7 = turn7(v128.xor(x7, x8));
      x4 = turn7(v128.xor(x4, x9));
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
    x0 = i32x4.add(x0, i32x4.splat(0x61707865));
    x1 = i32x4.add(x1, i32x4.splat(0x3320646e));
    x2 = i32x4.add(x2, i32x4.splat(0x79622d32));
    x3 = i32x4.add(x3, i32x4.splat(0x6b206574));
    x4 = i32x4.add(x4, i32x4.splat(key0));
    x5 = i32x4.add(x5, i32x4.splat(key1));
    x6 = i32x4.add(x6, i32x4.splat(key2));
    x7 = i32x4.add(x7, i32x4.splat(key3));
    x8 = i32x4.add(x8, i32x4.splat(key4));
    x9 = i32x4.add(x9, i32x4.splat(key5));
    x10 = i32x4.add(x10, i32x4.splat(key6));
    x11 = i32x4.add(x11, i32x4.splat(key7));
    x12 = i32x4.add(x12, counter);
    x13 = i32x4.add(x13, i32x4.splat(nonce0));
    x14 = i32x4.add(x14, i32x4.splat(nonce1));
    x15 = i32x4.add(x15, i32x4.splat(nonce2));
    if (target < OUTPUT_AT) {
      r0 = u64(i32x4.extract_lane(x0, 0) & 0x0fffffff);
      r1 = u64(i32x4.extract_lane(x1, 0) & 0x0ffffffc);
      r2 = u64(i32x4.extract_lane(x2, 0) & 0x0ffffffc);
      r3 = u64(i32x4.extract_lane(x3, 0) & 0x0ffffffc);
      s1 = r1 + (r1 >> 2);
      s2 = r2 + (r2 >> 2);
      s3 = r3 + (r3 >> 2);
      pad0 = i64x2.extract_lane(i32x4.shuffle(x4, x5, 0, 4, 0, 4), 0);
      pad1 = i64x2.extract_lane(i32x4.shuffle(x6, x7, 0, 4, 0, 4), 0);
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
    xorTransposed(source + 0, target + 0, x0, x1, x2, x3);
    xorTransposed(source + 16, target + 16, x4, x5, x6, x7);
    xorTransposed(source + 32, target + 32, x8, x9, x10, x11);
    xorTransposed(source + 48, target + 48, x12, x13, x14, x15);
    source += BATCH_BYTES;
    target += BATCH_BYTES;
    ready = authentic + (target - OUTPUT_AT);
    counter = i32x4.add(counter, i32x4.splat(4));
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
