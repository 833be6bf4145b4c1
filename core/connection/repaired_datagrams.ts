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

const NOTHING_SENT = { sent: 0, dropped: 0, expired: 0, copiesSent: 0, paritiesSent: 0 };
const NOTHING_RECEIVED = { received: 0, repaired: 0 };
/** A copy waits that much longer for company: a game's next frame takes it along for free. */
const COPY_SLACK_MS = 5;

interface RepairOptions extends OutboxOptions {
  readonly redundancy: number | "adaptive";
  readonly groupSize: number;
}

/** Makes them; what the config of a session takes. */
export const datagramRepair: DatagramRepair = (limits) => new RepairedDatagrams(limits);

/** What sends datagrams that can be repaired. */
interface Sending {
  readonly outbox: DatagramOutbox<RepairOptions>;
  readonly encoder: FecEncoder;
  readonly losses: WeakMap<DatagramCarrier, LossRate>;
  /** Until when the parity of the open group is of use: as long as the last of its datagrams. */
  groupOptions: RepairOptions;
}

/** Datagrams both ways, those that can be repaired and others. */
export class RepairedDatagrams implements DatagramLine {
  readonly #groupMax: number;
  readonly #datagramsMax: number;
  readonly #isRedundant: boolean;
  readonly #plain: DatagramQueue;
  /** Made with the first datagram of their direction: most sessions never have one, and a decoder takes 4 KB. */
  #sending: Sending | undefined;
  #decoder: FecDecoder | undefined;
  #recoveredByCopy = 0;
  /** What was due by then had its chance: it waits for room, not for time. */
  #handledAt: Instant = Number.NEGATIVE_INFINITY;

  constructor(limits: Parameters<DatagramRepair>[0]) {
    this.#groupMax = limits.groupMax;
    this.#datagramsMax = limits.datagramsMax;
    this.#isRedundant = limits.isRedundant;
    this.#plain = new DatagramQueue(limits.datagramsMax);
  }

  get counts(): DatagramCounts {
    const { counts } = this.#plain;
    const { sent, dropped, expired, copiesSent, paritiesSent } = this.#sending?.outbox ?? NOTHING_SENT;
    const { received, repaired } = this.#decoder ?? NOTHING_RECEIVED;
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
    // One without room for its number goes by one path alone.
    const isNumbered = !isPlain || (this.#isRedundant && room >= FEC_OVERHEAD_BYTES_MAX);
    if (this.#groupMax === 0 || !isNumbered) return this.#plain.push(bytes, options, room, now);
    // The parity must fit as well, and is longer.
    if (room < FEC_OVERHEAD_BYTES_MAX) return false;
    const groupSize = fec > 0 ? Math.min(Math.ceil(fec), this.#groupMax) : 0;
    this.#sending ??= this.#startSending();
    this.#sending.outbox.push(bytes, { expiresAt: now + (maxAgeMs || NEVER), redundancy, groupSize }, now);
    return true;
  }

  nextBytes(now: Instant): number {
    const next = this.#sending?.outbox.front(now);
    if (this.#sending === undefined || next === undefined) return this.#plain.nextBytes(now);
    return next.bytes.length + (next.kind === "first" ? this.#sending.encoder.headBytes : 0);
  }

  take(path: DatagramCarrier, now: Instant): OutgoingDatagram {
    const next = this.#sending?.outbox.front(now);
    if (this.#sending === undefined || next === undefined) return this.#plain.take();
    const { outbox, encoder, losses } = this.#sending;
    const { kind } = next;
    if (kind !== "first") {
      outbox.take(now);
      return { type: FRAME_NUMBERED_DATAGRAM + (kind === "copy" ? 1 : 0), bytes: next.bytes };
    }
    const { options } = next;
    const isLossy = path.datagrams !== undefined;
    encoder.groupSize = isLossy ? options.groupSize : 0;
    const bytes = encoder.encode(next.bytes, now);
    outbox.take(now, { bytes, copies: isLossy ? copiesOf(options, path, losses) : 1 });
    this.#sending.groupOptions = options;
    this.#queueParity(now);
    return { type: FRAME_NUMBERED_DATAGRAM, bytes };
  }

  drop(now: Instant): void {
    if (this.#sending?.outbox.front(now) === undefined) this.#plain.drop(now);
    else this.#sending.outbox.drop(now);
  }

  receive(type: number, bytes: Bytes, now: Instant): readonly Bytes[] {
    if (type < FRAME_NUMBERED_DATAGRAM) return this.#plain.receive(type, bytes);
    this.#decoder ??= new FecDecoder();
    const came = this.#decoder.receive(bytes, now);
    if (came.length > 0 && type > FRAME_NUMBERED_DATAGRAM) this.#recoveredByCopy++;
    return came.map(({ payload }) => payload);
  }

  pollTimeout(): Instant {
    let at = NEVER;
    for (const timed of [this.#sending?.outbox, this.#sending?.encoder, this.#decoder]) {
      const due = timed?.pollTimeout() ?? NEVER;
      if (due > this.#handledAt) at = Math.min(at, due);
    }
    return at;
  }

  handleTimeout(now: Instant): void {
    this.#handledAt = now;
    this.#decoder?.handleTimeout(now);
    this.#queueParity(now);
  }

  clear(): void {
    this.#plain.clear();
    this.#sending?.outbox.clear();
    this.#sending?.encoder.flush();
    this.#sending?.encoder.pollParity(NEVER);
  }

  #startSending(): Sending {
    return {
      outbox: new DatagramOutbox({ datagramsMax: this.#datagramsMax, copySlackMs: COPY_SLACK_MS }),
      encoder: new FecEncoder({ groupSize: 0 }),
      losses: new WeakMap(),
      groupOptions: { redundancy: 1, groupSize: 0 },
    };
  }

  /** The parity of a group that is full, or waited long enough, goes with what is sent next: not with its group. */
  #queueParity(now: Instant): void {
    const parity = this.#sending?.encoder.pollParity(now);
    if (parity !== undefined) this.#sending?.outbox.pushParity(parity, this.#sending.groupOptions, now);
  }
}

function copiesOf({ redundancy }: RepairOptions, path: DatagramCarrier, losses: Sending["losses"]): number {
  if (redundancy !== "adaptive") return redundancy;
  let loss = losses.get(path);
  if (loss === undefined) {
    loss = new LossRate();
    losses.set(path, loss);
  }
  return copiesFor(loss.update(path));
}
