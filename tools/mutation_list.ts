/**
 * Deliberate bugs in reliable UDP and sessions of several paths, each of which some test must notice:
 * `npm run mutations` puts them in one at a time.
 *
 * Each replaces a text that occurs once in its file. One that nobody could notice (an equivalent program) does not
 * belong here; one that no test notices shows which test is missing.
 *
 * @module
 */

/** A deliberate bug. */
export interface Mutation {
  /** What it makes go wrong, in a few words. */
  readonly name: string;
  readonly file: string;
  /** Occurs once in the file. */
  readonly before: string;
  readonly after: string;
  /** The tests that should notice, the quickest first. */
  readonly tests: readonly string[];
}

const CONNECTION = "test/core/connection";
const NODE = "test/core/node";
const RECOVERY = [`${CONNECTION}/datagram_recovery_test.ts`, `${CONNECTION}/datagram_recovery_properties_test.ts`];
const ACKS = [`${CONNECTION}/path_acks_test.ts`, ...RECOVERY];
const VALIDATION = [`${CONNECTION}/path_validation_test.ts`];
const RTT = [`${CONNECTION}/rtt_test.ts`];
const CUBIC = [`${CONNECTION}/congestion/cubic_test.ts`];
const HYSTART = [`${CONNECTION}/congestion/hystart_test.ts`, ...CUBIC];
const RENO = [`${CONNECTION}/congestion/new_reno_test.ts`];
const PACER = [`${CONNECTION}/congestion/pacer_test.ts`];
const MTU = [`${CONNECTION}/mtu_probe_test.ts`];
const CHOICE = [`${CONNECTION}/path_choice_test.ts`];
const BUFFERS = [`${CONNECTION}/buffers_test.ts`];
const SESSION = [`${CONNECTION}/session_test.ts`, `${CONNECTION}/hostile_peer_test.ts`];
const FEC = [`${CONNECTION}/datagram_fec_test.ts`];
const OUTBOX = [`${CONNECTION}/datagram_outbox_test.ts`];
const FLOWS = [`${NODE}/flow_table_test.ts`, `${NODE}/datagram_flood_test.ts`];
const KEEPER = [`${NODE}/path_keeper_test.ts`, `${NODE}/datagram_handshake_test.ts`];
const DATAGRAMS = [`${NODE}/datagram_flood_test.ts`, `${NODE}/datagram_handshake_test.ts`];
const SIMULATOR = ["test/sim/scenarios_test.ts", "test/sim/story_test.ts"];

/** All of them. */
export const MUTATIONS: readonly Mutation[] = [
  // Loss and probe timeouts.
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
    tests: [...RECOVERY, ...SIMULATOR],
  },
  {
    name: "the round trip of the old way is smoothed into the new one's",
    file: "core/connection/datagram_recovery.ts",
    before: "    this.#rtt.restart();\n",
    after: "",
    tests: RECOVERY,
  },
  // Acknowledgements.
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
    name: "an acknowledgement may go below zero",
    file: "core/connection/frame_parser.ts",
    before: "if (start < 0) throw",
    after: "if (start < -1) throw",
    tests: ACKS,
  },
  {
    name: "any answer proves a path",
    file: "core/connection/path.ts",
    before:
      "if (this.challenge === undefined || !this.challenge.every((byte, index) => byte === data[index])) return false;",
    after: "if (this.challenge === undefined) return false;",
    tests: VALIDATION,
  },
  {
    name: "a lost challenge is not repeated",
    file: "core/connection/path.ts",
    before: 'if (frame.type === "pathChallenge" && frame.data === this.challenge) this.controls.push(frame);',
    after: "",
    tests: VALIDATION,
  },
  // Round trip.
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
  // Congestion.
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
    name: "NewReno falls below two packages",
    file: "core/connection/congestion/new_reno.ts",
    before: "Math.max(this.windowBytes / 2, 2 * this.#packageBytes);",
    after: "this.windowBytes / 2;",
    tests: RENO,
  },
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
  // Size of packages.
  {
    name: "one lost probe ends the search for a size",
    file: "core/connection/mtu_probe.ts",
    before: "const PROBES_MAX = 3;",
    after: "const PROBES_MAX = 1;",
    tests: MTU,
  },
  {
    name: "a black hole is not noticed",
    file: "core/connection/mtu_probe.ts",
    before: "if (this.#suspicions < SUSPICIONS_MAX) return false;",
    after: "if (this.#suspicions < 1000) return false;",
    tests: MTU,
  },
  {
    name: "a small package that arrives clears the suspicion of a black hole",
    file: "core/connection/mtu_probe.ts",
    before: "if (bytes < this.#suspectBytesMin) return;",
    after: "",
    tests: MTU,
  },
  // Several paths.
  {
    name: "a relay is as good as a direct path",
    file: "core/connection/path_choice.ts",
    before: "datagrams: 0, relay: 1 };",
    after: "datagrams: 0, relay: 0 };",
    tests: CHOICE,
  },
  {
    name: "a silent path goes on carrying data",
    file: "core/connection/path_choice.ts",
    before: "(path.isDoubted ? 2 : 0)",
    after: "0",
    tests: CHOICE,
  },
  {
    name: "`backup` uses both paths",
    file: "core/connection/path_choice.ts",
    before: ' || policy === "backup") return best;',
    after: ") return best;",
    tests: CHOICE,
  },
  {
    name: "`aggregate` fills the slow path whatever is left",
    file: "core/connection/path_choice.ts",
    before: 'return policy === "aggregate" && isWorthWaiting(best, open, unsentBytes) ? best : open;',
    after: "return open;",
    tests: CHOICE,
  },
  {
    name: "an attach can be used twice",
    file: "core/connection/path_numbers.ts",
    before: "this.#peerFloor = id + 2;",
    after: "this.#peerFloor = id;",
    tests: [...ACKS, ...SESSION],
  },
  {
    name: "what a dead path carried is lost",
    file: "core/connection/session.ts",
    before: "for (const sent of path.takeInFlight()) this.onPackageLost(sent, path);",
    after: "path.takeInFlight();",
    tests: SESSION,
  },
  {
    name: "what a silent path holds waits for its end",
    file: "core/connection/session.ts",
    before: "path.requeueInFlight(this);",
    after: "path.isDoubted;",
    tests: SIMULATOR,
  },
  {
    name: "a path that moved is not proved",
    file: "core/connection/session.ts",
    before: "    this.#trace?.onPathAssigned(path, now);\n    this.#challenge(path);",
    after: "    this.#trace?.onPathAssigned(path, now);",
    tests: VALIDATION,
  },
  {
    name: "an older package moves a path",
    file: "core/node/session_table.ts",
    before: "if (path !== undefined && session.path(path)?.isNewest === true && pipe.binding?.path === path) {",
    after: "if (path !== undefined && pipe.binding?.path === path) {",
    tests: DATAGRAMS,
  },
  {
    name: "a copy for the second path is of bytes that are gone",
    file: "core/connection/send_buffer.ts",
    before: "return start >= this.#ackedFloor;",
    after: "return true;",
    tests: [`${CONNECTION}/redundant_test.ts`],
  },
  {
    name: "`redundant` sends no copy",
    file: "core/connection/package_builder.ts",
    before: "return this.#lastParts.length > 0 || this.#lastDatagrams.length > 0;",
    after: "return false;",
    tests: [`${CONNECTION}/redundant_test.ts`],
  },
  {
    name: "the keeper opens a second path before the first is confirmed",
    file: "core/node/path_keeper.ts",
    before: "if (!entry.isConfirmed) return false;",
    after: "",
    tests: KEEPER,
  },
  {
    name: "the keeper takes a relay for a direct path",
    file: "core/node/path_keeper.ts",
    before: '?.facts.kind !== "relay") direct++;',
    after: "?.facts.kind !== undefined) direct++;",
    tests: KEEPER,
  },
  {
    name: "the keeper's pauses do not grow",
    file: "core/node/path_keeper.ts",
    before: "keeping.rounds++, 10",
    after: "keeping.rounds, 10",
    tests: KEEPER,
  },
  // Buffers and flow control.
  {
    name: "what was acknowledged is sent again",
    file: "core/connection/send_buffer.ts",
    before: "for (const range of this.#acked.ranges) this.#lost.remove(range.start, range.end);",
    after: "",
    tests: BUFFERS,
  },
  {
    name: "ranges that touch stay apart",
    file: "core/connection/range_set.ts",
    before: "(ranges[to] as Range).start <= mergedEnd",
    after: "(ranges[to] as Range).start < mergedEnd",
    tests: BUFFERS,
  },
  {
    name: "a segment that just touches waits for ever",
    file: "core/connection/receive_buffer.ts",
    before: "if (segment.start > this.#readyEnd) break;",
    after: "if (segment.start >= this.#readyEnd) break;",
    tests: BUFFERS,
  },
  {
    name: "a stream may hold any number of gaps",
    file: "core/connection/receive_buffer.ts",
    before: "if (this.#runs > GAPS_MAX) throw",
    after: "if (this.#runs > 1e9) throw",
    tests: SESSION,
  },
  {
    name: "a stream may be sent one byte too much",
    file: "core/connection/stream_table.ts",
    before: "!Number.isSafeInteger(end) || end > half.maxOffset",
    after: "!Number.isSafeInteger(end) || end > half.maxOffset + 1",
    tests: SESSION,
  },
  {
    name: "a final size may be below what was sent",
    file: "core/connection/stream_table.ts",
    before: "if (isFinal && end < half.highestOffset) {",
    after: "if (isFinal && end < 0) {",
    tests: SESSION,
  },
  {
    name: "frames that move nothing cost nothing",
    file: "core/connection/idle_budget.ts",
    before: "if (++this.#spent > FRAMES_MAX) {",
    after: "if (++this.#spent > 1e9) {",
    tests: SESSION,
  },
  {
    name: "a datagram is sent after it expired",
    file: "core/connection/datagram_outbox.ts",
    before: "        if (now < front.expiresAt) {",
    after: "        if (now <= front.expiresAt) {",
    tests: OUTBOX,
  },
  // Protection.
  {
    name: "two paths share their nonces",
    file: "core/connection/package_protection.ts",
    before: "writeU32(nonce, 0, path);",
    after: "writeU32(nonce, 0, 0);",
    tests: [`${CONNECTION}/package_protection_test.ts`, ...SESSION],
  },
  {
    name: "keys change before the peer has the ones before",
    file: "core/connection/package_protection.ts",
    before: "if (this.#isPhaseConfirmed && this.#isWornOut(now)) this.#rekey(now);",
    after: "if (this.#isWornOut(now)) this.#rekey(now);",
    tests: [`${CONNECTION}/package_protection_test.ts`, ...SESSION],
  },
  {
    name: "a forged package changes the keys",
    file: "core/connection/package_protection.ts",
    before: "      key.destroy();\n      return undefined;\n    }\n    this.#previous?.destroy();",
    after:
      "      this.#phase = (this.#phase + 1) & PHASE_MASK;\n      return undefined;\n    }\n    this.#previous?.destroy();",
    tests: [`${CONNECTION}/package_protection_test.ts`, ...SESSION],
  },
  // Strangers.
  {
    name: "four times what came goes to an address that proved nothing",
    file: "core/node/flow_table.ts",
    before: "const AMPLIFICATION_MAX = 3;",
    after: "const AMPLIFICATION_MAX = 4;",
    tests: FLOWS,
  },
  {
    name: "what goes to an address that proved nothing is not counted",
    file: "core/node/flow_table.ts",
    before: "flow.bytesSent += bytes;",
    after: "",
    tests: FLOWS,
  },
  {
    name: "flows that nobody uses are kept",
    file: "core/node/flow_table.ts",
    before: "if (flow.pipes.size > 0 || !this.#flows.delete(flow.id)) return;",
    after: "if (flow.pipes.size >= 0) return;",
    tests: FLOWS,
  },
  {
    name: "two nodes that forgot each other reset each other for ever",
    file: "core/node/datagram_demux.ts",
    before: "if (datagramBytes <= RESET_DATAGRAM_BYTES) return;",
    after: "",
    tests: DATAGRAMS,
  },
  {
    name: "anybody may reset a session",
    file: "core/node/stateless_reset.ts",
    before: "return isNamed && entry.resetToken !== undefined && equalBytes(entry.resetToken, message.token);",
    after: "return isNamed;",
    tests: [...DATAGRAMS, `${NODE}/endpoint_resume_test.ts`],
  },
  {
    name: "a token for one port proves another",
    file: "core/node/retry_token.ts",
    before: "writer.varint(to.port);",
    after: "writer.varint(0);",
    tests: [`${NODE}/retry_token_test.ts`],
  },
  {
    name: "an early message is taken right after a start",
    file: "core/node/strike_register.ts",
    before: 'if (!(now > this.#openAt)) return "starting";',
    after: "",
    tests: [`${NODE}/strike_register_test.ts`],
  },
  {
    name: "a copy of a first message costs a second handshake",
    file: "core/node/datagram_demux.ts",
    before: "        handshakes.resend(pending, now);\n        return;",
    after: "        handshakes.resend(pending, now);",
    tests: DATAGRAMS,
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
    tests: [...RECOVERY, ...SIMULATOR],
  },
  {
    name: "what is in flight is not counted against the window",
    file: "core/connection/datagram_recovery.ts",
    before: "if (bytesInFlight + this.packageBytesMax > this.controller.windowBytes) {",
    after: "if (bytesInFlight > 1e12) {",
    tests: RECOVERY,
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
  {
    name: "NewReno credits what left before the reduction",
    file: "core/connection/congestion/new_reno.ts",
    before: "if (sentAt <= this.#recoveryStart) continue;",
    after: "",
    tests: RENO,
  },
  {
    name: "NewReno undoes twice",
    file: "core/connection/congestion/new_reno.ts",
    before:
      "    this.windowBytes = 2 * this.#packageBytes;\n    this.#recoveryStart = Number.NEGATIVE_INFINITY;\n    this.#undo = undefined;",
    after: "    this.windowBytes = 2 * this.#packageBytes;\n    this.#recoveryStart = Number.NEGATIVE_INFINITY;",
    tests: RENO,
  },
  {
    name: "a window of the old way outlives it",
    file: "core/connection/congestion/new_reno.ts",
    before: "    this.windowBytes = initialWindow(this.#packageBytes);\n    this.slowStartThreshold",
    after: "    this.slowStartThreshold",
    tests: RENO,
  },
  {
    name: "HyStart++ takes two samples for a round",
    file: "core/connection/congestion/hystart.ts",
    before: "const RTT_SAMPLES = 8;",
    after: "const RTT_SAMPLES = 2;",
    tests: HYSTART,
  },
  {
    name: "probes for size go on beyond the limit",
    file: "core/connection/mtu_probe.ts",
    before: "bytes > baseBytes && bytes < maxBytes",
    after: "bytes > baseBytes",
    tests: MTU,
  },
  {
    name: "a lost probe makes packages larger",
    file: "core/connection/mtu_probe.ts",
    before: "    this.#late.set(packageNumber, size);\n",
    after: "    this.#late.set(packageNumber, size);\n    this.packageBytesMax = size;\n",
    tests: MTU,
  },
  {
    name: "a path that fell keeps probing at once",
    file: "core/connection/mtu_probe.ts",
    before: "if (this.#falls < FALLS_MAX) return;",
    after: "if (this.#falls < 1e9) return;",
    tests: MTU,
  },
  {
    name: "a path in the wrong state carries data",
    file: "core/connection/path_choice.ts",
    before: 'if (path.state !== "active") continue;',
    after: "",
    tests: CHOICE,
  },
  {
    name: "a blocked path is taken for one with room",
    file: "core/connection/path_choice.ts",
    before: "if (path.hasRoom && path.isWritable &&",
    after: "if (path.hasRoom &&",
    tests: CHOICE,
  },
  {
    name: "equal streams do not share",
    file: "core/connection/stream_scheduler.ts",
    before: "return level !== undefined && level.head < level.items.length && level.priority >= item.priority;",
    after: "return false;",
    tests: SESSION,
  },
  {
    name: "priorities are upside down",
    file: "core/connection/stream_scheduler.ts",
    before: "if (level.priority < priority) break;",
    after: "if (level.priority > priority) break;",
    tests: SESSION,
  },
  {
    name: "timers fire in any order",
    file: "core/node/timer_heap.ts",
    before: "if ((this.#heap[parent] as Entry).at <= (this.#heap[place] as Entry).at) return;",
    after: "if ((this.#heap[parent] as Entry).at <= (this.#heap[place] as Entry).at + 1e6) return;",
    tests: [`${NODE}/timer_heap_test.ts`],
  },
  {
    name: "a timer that is moved away stays",
    file: "core/node/timer_heap.ts",
    before: "    if (at < before) this.#rise(place);\n    else this.#sink(place);",
    after: "    if (at < before) this.#rise(place);",
    tests: [`${NODE}/timer_heap_test.ts`],
  },
  {
    name: "pauses before a resume do not grow",
    file: "core/node/resumer.ts",
    before: "2 ** Math.max(0, Math.min(this.#tries - 1, 10))",
    after: "1",
    tests: [`${NODE}/resume_test.ts`],
  },
  {
    name: "a thousand clients come back as one",
    file: "core/node/resumer.ts",
    before: "this.at = now + pause * (0.5 + jitter);",
    after: "this.at = now + pause;",
    tests: [`${NODE}/resume_test.ts`],
  },
  {
    name: "a lost third message is not sent again",
    file: "core/node/handshakes.ts",
    before: 'if (pending?.phase === "answer" || pending?.isInitiator === true) this.resend(pending, now);',
    after: 'if (pending?.phase === "answer") this.resend(pending, now);',
    tests: DATAGRAMS,
  },
  {
    name: "a damaged package ends a handshake",
    file: "core/node/handshakes.ts",
    before:
      'if (path === undefined && pipe.flow !== undefined) return false;\n      this.#fail(pending, "handshake_failed", "The first package',
    after: 'this.#fail(pending, "handshake_failed", "The first package',
    tests: DATAGRAMS,
  },
  {
    name: "copies of a message are not slowed down",
    file: "core/node/handshake_resends.ts",
    before: "(this.#pauses.get(pipe) ?? FIRST_MS) * 2",
    after: "this.#pauses.get(pipe) ?? FIRST_MS",
    tests: [...DATAGRAMS, `${NODE}/timer_heap_test.ts`],
  },
  {
    name: "any address passes for a proven one",
    file: "core/node/datagram_demux.ts",
    before: "if (handshakes.onProtected(pipe, input, now)) flow.isProven = true;",
    after: "handshakes.onProtected(pipe, input, now);\n      flow.isProven = true;",
    tests: DATAGRAMS,
  },
  {
    name: "versions are told to the shortest datagram",
    file: "core/node/datagram_demux.ts",
    before: "bytes.length > VERSIONS_DATAGRAM_BYTES && ",
    after: "",
    tests: DATAGRAMS,
  },
  {
    name: "a moved path is proved by any package",
    file: "core/node/datagram_demux.ts",
    before: "entry.session.path(path)?.challenge === undefined) flow.isProven",
    after: "path >= 0) flow.isProven",
    tests: DATAGRAMS,
  },
  {
    name: "expired copies are kept",
    file: "core/connection/datagram_outbox.ts",
    before: "--waiting.left >= 1 && dueAt < waiting.expiresAt",
    after: "--waiting.left >= 1",
    tests: OUTBOX,
  },
  {
    name: "a repair is delivered twice",
    file: "core/connection/datagram_fec.ts",
    before: "    this.#seen[place] = sequence;\n",
    after: "",
    tests: FEC,
  },
];
