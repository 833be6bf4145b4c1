/**
 * The contract every protocol state machine of Viaduct keeps: bytes and time in, bytes, events and a deadline out.
 *
 * The invariant to hold: a machine never does I/O, never reads a clock, never draws a random number by itself, never
 * awaits, and never throws on what came from outside. See docs/architecture.md, "The contract of a machine".
 *
 * @module
 */

/** Milliseconds on a monotonic clock that the caller owns. */
export type Instant = number;

/** No timer is armed. The identity of `Math.min`, so deadlines compose without null checks. */
export const NEVER: Instant = Number.POSITIVE_INFINITY;

/** Bytes that the receiver owns. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/** A protocol as a pure state machine. */
export interface Machine<Input, Output, Event> {
  /** Takes one input from the network; its bytes are lent for the call. Never throws, whatever the peer sent. */
  handleInput(input: Input, now: Instant): void;

  /** Fires every timer due at `now`. A spurious call changes nothing. */
  handleTimeout(now: Instant): void;

  /** Returns the next thing to send, or `undefined`. The caller owns its bytes from here on. */
  pollTransmit(now: Instant): Output | undefined;

  /** Returns the next thing the application should know, or `undefined`. */
  pollEvent(): Event | undefined;

  /** Tells when to call `handleTimeout` next; `NEVER` when nothing is pending. A pure read. */
  pollTimeout(): Instant;
}

/** What a machine needs from its host besides time: randomness of two qualities, cryptography and the wire checksum. */
export interface Environment {
  /** Fills `out` with cryptographically secure random bytes. Throws when the host has none: there is no fallback. */
  readonly random: (out: Uint8Array) => void;
  /** Returns a number in [0, 1) for jitter and skips only; a simulator seeds it. Never used for a secret. */
  readonly jitter: () => number;
  /** Composes no policy: only primitives. */
  readonly crypto: import("./crypto/provider.ts").CryptoProvider;
  /** The low 32 bits of XXH3-64 with seed 0x01000193 over `bytes`, as an unsigned number. PROTOCOL §1.2. */
  readonly checksum: (bytes: Uint8Array) => number;
}
