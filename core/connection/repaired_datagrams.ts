/**
 * The datagrams of a session that are of no use late: they expire, are sent several times and in groups with a parity,
 * and come out once each on the other side. PROTOCOL §5.5. What asks for none of it goes as it always does.
 *
 * The invariants to hold: nothing is repaired towards a peer that does not know how, nor on a path that loses nothing;
 * what waits to be sent and what is held for repairs is bounded; what cannot leave wakes nobody up twice.
 *
 * @module
 */

import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { FEC_OVERHEAD_BYTES_MAX, FecDecoder, FecEncoder } from "./datagram_fec.ts";
import type {
  DatagramCarrier,
  DatagramCounts,
  DatagramLine,
  DatagramRepair,
  DatagramSendOptions,
  OutgoingDatagram,
} from "./datagram_line.ts";
import { copiesFor, DatagramOutbox, type OutboxOptions } from "./datagram_outbox.ts";
import { DatagramQueue } from "./datagram_queue.ts";
import { FRAME_NUMBERED_DATAGRAM } from "./frame_types.ts";
import { LossRate } from "./loss_rate.ts";

/** A copy waits that much longer for company: a game's next frame takes it along for free. */
const COPY_SLACK_MS = 5;

interface RepairOptions extends OutboxOptions {
  readonly redundancy: number | "adaptive";
  readonly groupSize: number;
}

/** Makes them; what the config of a session takes. */
export const datagramRepair: DatagramRepair = (limits) => new RepairedDatagrams(limits);

/** Datagrams both ways, those that can be repaired and others. */
export class RepairedDatagrams implements DatagramLine {
  readonly #groupMax: number;
  readonly #plain: DatagramQueue;
  readonly #outbox: DatagramOutbox<RepairOptions>;
  readonly #encoder = new FecEncoder({ groupSize: 0 });
  readonly #decoder = new FecDecoder();
  readonly #losses = new WeakMap<DatagramCarrier, LossRate>();
  /** Until when the parity of the open group is of use: as long as the last of its datagrams. */
  #groupOptions: RepairOptions = { redundancy: 1, groupSize: 0 };
  #recoveredByCopy = 0;
  /** What was due by then had its chance: it waits for room, not for time. */
  #handledAt: Instant = Number.NEGATIVE_INFINITY;

  constructor(limits: Parameters<DatagramRepair>[0]) {
    this.#groupMax = limits.groupMax;
    this.#plain = new DatagramQueue(limits.datagramsMax);
    this.#outbox = new DatagramOutbox({ datagramsMax: limits.datagramsMax, copySlackMs: COPY_SLACK_MS });
  }

  get counts(): DatagramCounts {
    const { counts } = this.#plain;
    const { sent, dropped, expired, copiesSent, paritiesSent } = this.#outbox;
    const { received, repaired } = this.#decoder;
    return {
      datagramsSent: counts.datagramsSent + sent,
      datagramsReceived: counts.datagramsReceived + received + repaired,
      datagramsDropped: counts.datagramsDropped + dropped,
      datagramsExpired: counts.datagramsExpired + expired,
      datagramRepairsSent: copiesSent + paritiesSent,
      datagramsRecoveredByRedundancy: this.#recoveredByCopy,
      datagramsRecoveredByFec: repaired,
    };
  }

  push(bytes: Bytes, options: DatagramSendOptions, room: number, now: Instant): boolean {
    const { maxAgeMs, redundancy = 1, fec = 0 } = options;
    // Written so that NaN asks for nothing.
    const isPlain = redundancy !== "adaptive" && !(redundancy > 1) && !(fec > 0);
    if (this.#groupMax === 0 || isPlain) return this.#plain.push(bytes, options, room, now);
    // The parity must fit as well, and is longer.
    if (room < FEC_OVERHEAD_BYTES_MAX) return false;
    const groupSize = fec > 0 ? Math.min(Math.ceil(fec), this.#groupMax) : 0;
    this.#outbox.push(bytes, { expiresAt: now + (maxAgeMs || NEVER), redundancy, groupSize }, now);
    return true;
  }

  nextBytes(now: Instant): number {
    const next = this.#outbox.front(now);
    if (next === undefined) return this.#plain.nextBytes(now);
    return next.bytes.length + (next.kind === "first" ? this.#encoder.headBytes : 0);
  }

  take(path: DatagramCarrier, now: Instant): OutgoingDatagram {
    const next = this.#outbox.front(now);
    if (next === undefined) return this.#plain.take();
    const { kind } = next;
    if (kind !== "first") {
      this.#outbox.take(now);
      return { type: FRAME_NUMBERED_DATAGRAM + (kind === "copy" ? 1 : 0), bytes: next.bytes };
    }
    const { options } = next;
    const isLossy = path.datagrams !== undefined;
    this.#encoder.groupSize = isLossy ? options.groupSize : 0;
    const bytes = this.#encoder.encode(next.bytes, now);
    this.#outbox.take(now, { bytes, copies: isLossy ? this.#copiesOf(options, path) : 1 });
    this.#groupOptions = options;
    this.#queueParity(now);
    return { type: FRAME_NUMBERED_DATAGRAM, bytes };
  }

  drop(now: Instant): void {
    if (this.#outbox.front(now) === undefined) this.#plain.drop(now);
    else this.#outbox.drop(now);
  }

  receive(type: number, bytes: Bytes, now: Instant): readonly Bytes[] {
    if (type < FRAME_NUMBERED_DATAGRAM) return this.#plain.receive(type, bytes);
    const came = this.#decoder.receive(bytes, now);
    if (came.length > 0 && type > FRAME_NUMBERED_DATAGRAM) this.#recoveredByCopy++;
    return came.map(({ payload }) => payload);
  }

  pollTimeout(): Instant {
    let at = NEVER;
    for (const due of [this.#outbox.pollTimeout(), this.#encoder.pollTimeout(), this.#decoder.pollTimeout()]) {
      if (due > this.#handledAt) at = Math.min(at, due);
    }
    return at;
  }

  handleTimeout(now: Instant): void {
    this.#handledAt = now;
    this.#decoder.handleTimeout(now);
    this.#queueParity(now);
  }

  clear(): void {
    this.#plain.clear();
    this.#outbox.clear();
    this.#encoder.flush();
    this.#encoder.pollParity(NEVER);
  }

  /** The parity of a group that is full, or waited long enough, goes with what is sent next: not with its group. */
  #queueParity(now: Instant): void {
    const parity = this.#encoder.pollParity(now);
    if (parity !== undefined) this.#outbox.pushParity(parity, this.#groupOptions, now);
  }

  #copiesOf({ redundancy }: RepairOptions, path: DatagramCarrier): number {
    if (redundancy !== "adaptive") return redundancy;
    let loss = this.#losses.get(path);
    if (loss === undefined) {
      loss = new LossRate();
      this.#losses.set(path, loss);
    }
    return copiesFor(loss.update(path));
  }
}
