/**
 * One path of datagrams without a session around it: packages leave, ranges of them are acknowledged, time passes.
 *
 * @module
 */

import type { DatagramRecovery } from "../../../core/connection/datagram_recovery.ts";
import type { AckFrame } from "../../../core/connection/frame_parser.ts";
import type { AckSink, Path } from "../../../core/connection/path.ts";
import { makePath } from "../../../core/connection/path_factory.ts";
import type { SentPackage } from "../../../core/connection/sent_package.ts";
import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { SessionConfig } from "../../../core/connection/session_types.ts";

/** Bytes of the packages that are sent where a test says nothing else: they always get through. */
export const SMALL_BYTES = 548;

/** A path under test and what it told. */
export class DatagramPath implements AckSink {
  readonly path: Path;
  readonly recovery: DatagramRecovery;
  now = 1000;
  /** Numbers of packages whose frames were handed back, in order. */
  readonly requeued: number[] = [];
  readonly acked: number[] = [];

  constructor(options: { readonly config?: Partial<SessionConfig>; readonly rttMs?: number } = {}) {
    const { config = {}, rttMs } = options;
    const facts = { kind: "datagrams", remote: "udp://test", ...(rttMs === undefined ? {} : { rttMs }) } as const;
    this.path = makePath(
      { id: 0, facts, state: "active", config: { ...DEFAULT_SESSION_CONFIG, ...config }, trace: undefined },
      this.now,
    );
    this.recovery = this.path.datagrams as DatagramRecovery;
  }

  get windowBytes(): number {
    return this.recovery.controller.windowBytes;
  }

  onPackageAcked(sent: SentPackage): void {
    this.acked.push(sent.packageNumber);
  }

  onPackageLost(sent: SentPackage): void {
    this.requeued.push(sent.packageNumber);
  }

  /** Sends a package that asks for an acknowledgement, and returns its number. */
  send(bytes = SMALL_BYTES, options: { readonly isMtuProbe?: boolean } = {}): number {
    const packageNumber = this.path.nextPackageNumber;
    const sent: SentPackage = {
      packageNumber,
      sentAt: this.now,
      bytes,
      phase: 0,
      parts: [],
      controls: [],
      isMtuProbe: options.isMtuProbe ?? false,
      isLost: false,
      isRequeued: false,
    };
    this.path.onSent(bytes, sent, this.now);
    return packageNumber;
  }

  /** Sends so many packages at once. */
  sendMany(count: number, bytes = SMALL_BYTES): void {
    for (let index = 0; index < count; index++) this.send(bytes);
  }

  /** Sends a package that asks for nothing. */
  sendSilent(bytes = 50): void {
    this.path.onSent(bytes, undefined, this.now);
  }

  /** Sends as much as the window and the pacer let leave, waiting for the pacer. */
  fillWindow(): number {
    let count = 0;
    for (; count < 100_000; count++) {
      if (!this.recovery.canSend(this.path.bytesInFlight, this.now)) {
        if (this.path.bytesInFlight + this.recovery.packageBytesMax > this.windowBytes) break;
        this.now = this.recovery.pollTimeout(false);
        continue;
      }
      this.send(this.recovery.packageBytesMax);
    }
    return count;
  }

  /** Acknowledges `[start, end)` ranges, the highest first, or single packages. */
  ack(ranges: readonly (number | readonly [number, number])[], delayMs = 0): boolean {
    const pairs = ranges.map((range) => (typeof range === "number" ? ([range, range + 1] as const) : range));
    const ack: AckFrame = {
      path: 0,
      delayMs,
      count: pairs.length,
      starts: pairs.map(([start]) => start),
      ends: pairs.map(([, end]) => end),
    };
    return this.path.onAck(ack, this, this.now);
  }

  /** Lets time pass without looking at timers. */
  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  /** Fires the timers that are due now. */
  fire(): void {
    this.path.onTimeout(this, this.now);
  }

  /** Goes to the next timer and fires it; returns how long that took. */
  toTimer(): number {
    const at = this.path.pollTimeout();
    const waited = at - this.now;
    this.now = at;
    this.fire();
    return waited;
  }

  /** A package and its acknowledgement: the first sample of the round trip. */
  measure(rttMs: number): void {
    const number = this.send();
    this.wait(rttMs).ack([number]);
  }
}
