/**
 * Deliberate bugs in loss recovery, acknowledgements, congestion control and the search for a size.
 *
 * @module
 */

import type { Mutation } from "./mutation.ts";

const CONNECTION = "test/core/connection";
const RECOVERY = [`${CONNECTION}/datagram_recovery_test.ts`, `${CONNECTION}/datagram_recovery_properties_test.ts`];
const RECOVERY_AND_STORIES = [
  `${CONNECTION}/datagram_recovery_test.ts`,
  `${CONNECTION}/datagram_recovery_properties_test.ts`,
  "test/sim/scenarios_test.ts",
  "test/sim/story_test.ts",
];
const ACKS = [
  `${CONNECTION}/path_acks_test.ts`,
  `${CONNECTION}/datagram_recovery_test.ts`,
  `${CONNECTION}/datagram_recovery_properties_test.ts`,
];
const PATH_VALIDATION = [`${CONNECTION}/path_validation_test.ts`];
const RTT = [`${CONNECTION}/rtt_test.ts`];
const CUBIC = [`${CONNECTION}/congestion/cubic_test.ts`];
const HYSTART = [`${CONNECTION}/congestion/hystart_test.ts`, `${CONNECTION}/congestion/cubic_test.ts`];
const NEW_RENO = [`${CONNECTION}/congestion/new_reno_test.ts`];
const PACER = [`${CONNECTION}/congestion/pacer_test.ts`];
const MTU_PROBE = [`${CONNECTION}/mtu_probe_test.ts`];

/** All of them. */
export const RECOVERY_MUTATIONS: readonly Mutation[] = [
  // core/connection/datagram_recovery.ts
  {
    name: "two later packages prove a loss",
    file: "core/connection/datagram_recovery.ts",
    before: "const PACKAGE_THRESHOLD = 3;",
    after: "const PACKAGE_THRESHOLD = 2;",
    tests: RECOVERY,
  },
  {
    name: "a loss is proved after one round trip",
    file: "core/connection/datagram_recovery.ts",
    before: "const TIME_THRESHOLD = 9 / 8;",
    after: "const TIME_THRESHOLD = 1;",
    tests: RECOVERY,
  },
  {
    name: "a probe timeout leaves out the peer's delay",
    file: "core/connection/datagram_recovery.ts",
    before: "GRANULARITY_MS) + ACK_DELAY_MS_MAX;",
    after: "GRANULARITY_MS);",
    tests: RECOVERY,
  },
  {
    name: "probe timeouts do not back off",
    file: "core/connection/datagram_recovery.ts",
    before: "const backoff = 2 ** Math.min(this.#timeouts, BACKOFF_MAX);",
    after: "const backoff = 1;",
    tests: RECOVERY,
  },
  {
    name: "an answer does not end the back-off",
    file: "core/connection/datagram_recovery.ts",
    before: "    this.#timeouts = 0;\n    this.#probesDue = 0;",
    after: "    this.#probesDue = 0;",
    tests: RECOVERY,
  },
  {
    name: "the window holds probes back",
    file: "core/connection/datagram_recovery.ts",
    before: "if (this.#probesDue > 0) return true;",
    after: "",
    tests: RECOVERY,
  },
  {
    name: "losses before the first sample count as persistent congestion",
    file: "core/connection/datagram_recovery.ts",
    before: "if (sent.sentAt < this.#firstSampleAt) return; // RFC 9002 §7.6.2.",
    after: "",
    tests: RECOVERY,
  },
  {
    name: "an acknowledgement in between does not end persistent congestion",
    file: "core/connection/datagram_recovery.ts",
    before: "  noteGap(): void {\n    this.#runStart = NEVER;",
    after: "  noteGap(): void {",
    tests: RECOVERY,
  },
  {
    name: "a late package of an old loss undoes a newer one",
    file: "core/connection/datagram_recovery.ts",
    before: "if (this.#eventCount === 0 || sent.packageNumber < this.#eventFirst) return;",
    after: "if (this.#eventCount === 0) return;",
    tests: RECOVERY,
  },
  {
    name: "the loss of a probe for size counts as congestion",
    file: "core/connection/datagram_recovery.ts",
    before: "      this.mtu.onProbeLost(sent.packageNumber, now);\n      return;",
    after: "      this.mtu.onProbeLost(sent.packageNumber, now);",
    tests: RECOVERY,
  },
  {
    name: "what waits for the pacer counts as idle",
    file: "core/connection/datagram_recovery.ts",
    before: "this.#isWindowFull = true; // RFC 9002 §7.8",
    after: "// RFC 9002 §7.8",
    tests: RECOVERY_AND_STORIES,
  },
  {
    name: "the round trip of the old way is smoothed into the new one's",
    file: "core/connection/datagram_recovery.ts",
    before: "    this.#rtt.restart();\n",
    after: "",
    tests: RECOVERY,
  },
  {
    name: "an old package number lowers the highest acknowledged",
    file: "core/connection/datagram_recovery.ts",
    before: "if (largest > this.largestAcked) this.largestAcked = largest;",
    after: "this.largestAcked = largest;",
    tests: RECOVERY,
  },
  {
    name: "losses of one round trip count as several events",
    file: "core/connection/datagram_recovery.ts",
    before: "if (last.sentAt > this.#eventAt) {",
    after: "if (last.sentAt > Number.NEGATIVE_INFINITY) {",
    tests: RECOVERY,
  },
  {
    name: "a black hole is not seen by timeouts",
    file: "core/connection/datagram_recovery.ts",
    before: "      this.mtu.onBlackHole(now);\n      this.controller",
    after: "      this.controller",
    tests: RECOVERY,
  },
  {
    name: "a doubted path is never doubted",
    file: "core/connection/datagram_recovery.ts",
    before: "return this.#timeouts >= DOUBT_AFTER;",
    after: "return this.#timeouts >= 1000;",
    tests: RECOVERY_AND_STORIES,
  },
  {
    name: "what is in flight is not counted against the window",
    file: "core/connection/datagram_recovery.ts",
    before: "if (bytesInFlight + this.packageBytesMax > this.controller.windowBytes) {",
    after: "if (bytesInFlight > 1e12) {",
    tests: RECOVERY,
  },
  // core/connection/path.ts
  {
    name: "a lost package leaves the flight twice",
    file: "core/connection/path.ts",
    before: "        if (!sent.isLost) {\n          this.#inFlightBytes",
    after: "        {\n          this.#inFlightBytes",
    tests: RECOVERY,
  },
  {
    name: "a package that was never sent may be acknowledged",
    file: "core/connection/path.ts",
    before: "if ((ack.ends[0] as number) > this.#nextPackageNumber) {",
    after: "if ((ack.ends[0] as number) > this.#nextPackageNumber + 1) {",
    tests: ACKS,
  },
  {
    name: "the delay counts from the last arrival",
    file: "core/connection/path.ts",
    before: "if (this.isNewest) this.#largestReceivedAt = now;",
    after: "this.#largestReceivedAt = now;",
    tests: ACKS,
  },
  {
    name: "numbers that were forgotten are taken again",
    file: "core/connection/path.ts",
    before: "return packageNumber < this.#receivedFloor || this.#received.has(packageNumber);",
    after: "return this.#received.has(packageNumber);",
    tests: ACKS,
  },
  {
    name: "gaps between acknowledged ranges are one too large",
    file: "core/connection/path.ts",
    before: "writer.varint(smallest - range.end - 1);",
    after: "writer.varint(smallest - range.end);",
    tests: ACKS,
  },
  {
    name: "a gap is told late",
    file: "core/connection/path.ts",
    before: "const isAtOnce = isAckAtOnce || (isDatagrams && !isInOrder);",
    after: "const isAtOnce = isAckAtOnce;",
    tests: ACKS,
  },
  {
    name: "any answer proves a path",
    file: "core/connection/path.ts",
    before:
      "if (this.challenge === undefined || !this.challenge.every((byte, index) => byte === data[index])) return false;",
    after: "if (this.challenge === undefined) return false;",
    tests: PATH_VALIDATION,
  },
  {
    name: "a lost challenge is not repeated",
    file: "core/connection/path.ts",
    before: 'if (frame.type === "pathChallenge" && frame.data === this.challenge) this.controls.push(frame);',
    after: "",
    tests: PATH_VALIDATION,
  },
  {
    name: "a lost package is handed back twice",
    file: "core/connection/path.ts",
    before: "    if (sent.isRequeued) return;\n",
    after: "",
    tests: RECOVERY,
  },
  {
    name: "lost packages are remembered for ever",
    file: "core/connection/path.ts",
    before: "if (datagrams.isForgotten(sent, now)) this.#sent[index] = undefined;",
    after: "",
    tests: RECOVERY,
  },
  {
    name: "probes take the frames of probes for size",
    file: "core/connection/path.ts",
    before: "if (sent === undefined || sent.isRequeued || sent.isMtuProbe) continue;",
    after: "if (sent === undefined || sent.isRequeued) continue;",
    tests: RECOVERY,
  },
  {
    name: "what asks for nothing is acknowledged",
    file: "core/connection/path.ts",
    before: "    if (!isAckEliciting) return;\n",
    after: "",
    tests: ACKS,
  },
  {
    name: "ranges to acknowledge grow without bound",
    file: "core/connection/path.ts",
    before: "while (this.#received.rangeCount > RECEIVED_RANGES_MAX) {",
    after: "while (this.#received.rangeCount > 1e9) {",
    tests: ACKS,
  },
  // core/connection/frame_parser.ts
  {
    name: "an acknowledgement may go below zero",
    file: "core/connection/frame_parser.ts",
    before: "if (start < 0) throw",
    after: "if (start < -1) throw",
    tests: ACKS,
  },
  // core/connection/rtt.ts
  {
    name: "a claimed delay takes the round trip below the least seen",
    file: "core/connection/rtt.ts",
    before: "sampleMs >= this.#leastMs + ackDelayMs ?",
    after: "sampleMs >= ackDelayMs ?",
    tests: RTT,
  },
  {
    name: "the variance looks at the new mean",
    file: "core/connection/rtt.ts",
    before: "Math.abs(this.#smoothedMs - adjustedMs);",
    after: "Math.abs(this.#smoothedMs - adjustedMs) * 0.875;",
    tests: RTT,
  },
  // core/connection/congestion/cubic.ts
  {
    name: "CUBIC leaves eight tenths",
    file: "core/connection/congestion/cubic.ts",
    before: "const BETA = 0.7;",
    after: "const BETA = 0.8;",
    tests: CUBIC,
  },
  {
    name: "CUBIC reduces twice for one event",
    file: "core/connection/congestion/cubic.ts",
    before: "if (loss.largestLostSentAt <= this.#recoveryStart) return;",
    after: "if (loss.largestLostSentAt < this.#recoveryStart) return;",
    tests: CUBIC,
  },
  {
    name: "CUBIC undoes a loss before persistent congestion",
    file: "core/connection/congestion/cubic.ts",
    before: "    this.#undo = undefined;\n    this.#hystart.reset();\n  }\n\n  onSpuriousLoss",
    after: "    this.#hystart.reset();\n  }\n\n  onSpuriousLoss",
    tests: CUBIC,
  },
  {
    name: "CUBIC counts time in which the window was not used",
    file: "core/connection/congestion/cubic.ts",
    before: "if (this.#epochStart !== undefined) this.#epochStart = undefined;",
    after: "",
    tests: CUBIC,
  },
  {
    name: "CUBIC grows without bound in a round trip",
    file: "core/connection/congestion/cubic.ts",
    before: "1.5 * windowPackages);",
    after: "15 * windowPackages);",
    tests: CUBIC,
  },
  {
    name: "CUBIC has no fast convergence",
    file: "core/connection/congestion/cubic.ts",
    before: "? windowPackages * FAST_CONVERGENCE : windowPackages;",
    after: "? windowPackages : windowPackages;",
    tests: CUBIC,
  },
  {
    name: "CUBIC forgets Reno",
    file: "core/connection/congestion/cubic.ts",
    before: "if (cubic < this.#estimatePackages)",
    after: "if (cubic < 0)",
    tests: CUBIC,
  },
  {
    name: "CUBIC shrinks by an acknowledgement",
    file: "core/connection/congestion/cubic.ts",
    before: "this.#set(Math.max(this.windowBytes, estimateBytes));",
    after: "this.#set(estimateBytes);",
    tests: CUBIC,
  },
  {
    name: "CUBIC credits what left before the reduction",
    file: "core/connection/congestion/cubic.ts",
    before: "if (sentAt > this.#recoveryStart) acked += bytes;",
    after: "acked += bytes;",
    tests: CUBIC,
  },
  {
    name: "CUBIC paces slow start as slowly as the rest",
    file: "core/connection/congestion/cubic.ts",
    before: "const PACING_SLOW_START = 2;",
    after: "const PACING_SLOW_START = 1.25;",
    tests: CUBIC,
  },
  // core/connection/congestion/hystart.ts
  {
    name: "HyStart++ sees jitter as a queue",
    file: "core/connection/congestion/hystart.ts",
    before: "const MIN_RTT_THRESH_MS = 4;",
    after: "const MIN_RTT_THRESH_MS = 1;",
    tests: HYSTART,
  },
  {
    name: "HyStart++ never ends slow start",
    file: "core/connection/congestion/hystart.ts",
    before: "++this.#cssRounds >= CSS_ROUNDS;",
    after: "this.#cssRounds >= CSS_ROUNDS;",
    tests: HYSTART,
  },
  {
    name: "HyStart++ takes two samples for a round",
    file: "core/connection/congestion/hystart.ts",
    before: "const RTT_SAMPLES = 8;",
    after: "const RTT_SAMPLES = 2;",
    tests: HYSTART,
  },
  // core/connection/congestion/new_reno.ts
  {
    name: "NewReno falls below two packages",
    file: "core/connection/congestion/new_reno.ts",
    before: "Math.max(this.windowBytes / 2, 2 * this.#packageBytes);",
    after: "this.windowBytes / 2;",
    tests: NEW_RENO,
  },
  {
    name: "NewReno credits what left before the reduction",
    file: "core/connection/congestion/new_reno.ts",
    before: "if (sentAt <= this.#recoveryStart) continue;",
    after: "",
    tests: NEW_RENO,
  },
  {
    name: "NewReno undoes twice",
    file: "core/connection/congestion/new_reno.ts",
    before: "    this.#undo = undefined;\n  }\n\n  onSpuriousLoss",
    after: "  }\n\n  onSpuriousLoss",
    tests: NEW_RENO,
  },
  {
    name: "a window of the old way outlives it",
    file: "core/connection/congestion/new_reno.ts",
    before: "    this.windowBytes = initialWindow(this.#packageBytes);\n    this.slowStartThreshold",
    after: "    this.slowStartThreshold",
    tests: NEW_RENO,
  },
  // core/connection/congestion/pacer.ts
  {
    name: "the pacer never waits",
    file: "core/connection/congestion/pacer.ts",
    before: "if (this.#tokens >= bytes) return now;",
    after: "if (this.#tokens >= -1e9) return now;",
    tests: PACER,
  },
  {
    name: "the pacer saves up silence",
    file: "core/connection/congestion/pacer.ts",
    before: "this.#tokens = Math.min(this.#burstBytes, this.#tokens + elapsed * this.#bytesPerMs);",
    after: "this.#tokens += elapsed * this.#bytesPerMs;",
    tests: PACER,
  },
  // core/connection/mtu_probe.ts
  {
    name: "one lost probe ends the search for a size",
    file: "core/connection/mtu_probe.ts",
    before: "const PROBES_MAX = 3;",
    after: "const PROBES_MAX = 1;",
    tests: MTU_PROBE,
  },
  {
    name: "a black hole is not noticed",
    file: "core/connection/mtu_probe.ts",
    before: "if (this.#suspicions < SUSPICIONS_MAX) return false;",
    after: "if (this.#suspicions < 1000) return false;",
    tests: MTU_PROBE,
  },
  {
    name: "a small package that arrives clears the suspicion of a black hole",
    file: "core/connection/mtu_probe.ts",
    before: "if (bytes < this.#suspectBytesMin) return;",
    after: "",
    tests: MTU_PROBE,
  },
  {
    name: "probes for size go on beyond the limit",
    file: "core/connection/mtu_probe.ts",
    before: "bytes > baseBytes && bytes < maxBytes",
    after: "bytes > baseBytes",
    tests: MTU_PROBE,
  },
  {
    name: "a lost probe makes packages larger",
    file: "core/connection/mtu_probe.ts",
    before: "    this.#late.set(packageNumber, size);\n",
    after: "    this.#late.set(packageNumber, size);\n    this.packageBytesMax = size;\n",
    tests: MTU_PROBE,
  },
  {
    name: "a path that fell keeps probing at once",
    file: "core/connection/mtu_probe.ts",
    before: "if (this.#falls < FALLS_MAX) return;",
    after: "if (this.#falls < 1e9) return;",
    tests: MTU_PROBE,
  },
];
