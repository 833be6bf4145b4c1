/**
 * Deliberate bugs in sessions of several paths, their buffers and protection, and in what strangers may do.
 *
 * @module
 */

import type { Mutation } from "./mutation.ts";

const CONNECTION = "test/core/connection";
const NODE = "test/core/node";
const PATH_CHOICE = [`${CONNECTION}/path_choice_test.ts`];
const ACKS_AND_SESSION = [
  `${CONNECTION}/path_acks_test.ts`,
  `${CONNECTION}/datagram_recovery_test.ts`,
  `${CONNECTION}/datagram_recovery_properties_test.ts`,
  `${CONNECTION}/session_test.ts`,
  `${CONNECTION}/hostile_peer_test.ts`,
];
const SESSION = [`${CONNECTION}/session_test.ts`, `${CONNECTION}/hostile_peer_test.ts`];
const STORIES = ["test/sim/scenarios_test.ts", "test/sim/story_test.ts"];
const PATH_VALIDATION = [`${CONNECTION}/path_validation_test.ts`];
const DATAGRAMS = [`${NODE}/datagram_flood_test.ts`, `${NODE}/datagram_handshake_test.ts`];
const REDUNDANT = [`${CONNECTION}/redundant_test.ts`];
const KEEPER = [`${NODE}/path_keeper_test.ts`, `${NODE}/datagram_handshake_test.ts`];
const BUFFERS = [`${CONNECTION}/buffers_test.ts`];
const DATAGRAM_OUTBOX = [`${CONNECTION}/datagram_outbox_test.ts`];
const PROTECTION = [
  `${CONNECTION}/package_protection_test.ts`,
  `${CONNECTION}/session_test.ts`,
  `${CONNECTION}/hostile_peer_test.ts`,
];
const FLOWS = [`${NODE}/flow_table_test.ts`, `${NODE}/datagram_flood_test.ts`];
const RESETS = [
  `${NODE}/datagram_flood_test.ts`,
  `${NODE}/datagram_handshake_test.ts`,
  `${NODE}/endpoint_resume_test.ts`,
];
const RETRY_TOKEN = [`${NODE}/retry_token_test.ts`];
const STRIKE_REGISTER = [`${NODE}/strike_register_test.ts`];
const TIMER_HEAP = [`${NODE}/timer_heap_test.ts`];
const RESUME = [`${NODE}/resume_test.ts`];
const RESENDS = [`${NODE}/datagram_flood_test.ts`, `${NODE}/datagram_handshake_test.ts`, `${NODE}/timer_heap_test.ts`];
const DATAGRAM_FEC = [`${CONNECTION}/datagram_fec_test.ts`];

/** All of them. */
export const SESSION_MUTATIONS: readonly Mutation[] = [
  // core/connection/path_choice.ts
  {
    name: "a relay is as good as a direct path",
    file: "core/connection/path_choice.ts",
    before: "datagrams: 0, relay: 1 };",
    after: "datagrams: 0, relay: 0 };",
    tests: PATH_CHOICE,
  },
  {
    name: "a silent path goes on carrying data",
    file: "core/connection/path_choice.ts",
    before: "(path.isDoubted ? 2 : 0)",
    after: "0",
    tests: PATH_CHOICE,
  },
  {
    name: "`backup` uses both paths",
    file: "core/connection/path_choice.ts",
    before: ' || policy === "backup") return best;',
    after: ") return best;",
    tests: PATH_CHOICE,
  },
  {
    name: "`aggregate` fills the slow path whatever is left",
    file: "core/connection/path_choice.ts",
    before: 'return policy === "aggregate" && isWorthWaiting(best, open, unsentBytes) ? best : open;',
    after: "return open;",
    tests: PATH_CHOICE,
  },
  {
    name: "a path in the wrong state carries data",
    file: "core/connection/path_choice.ts",
    before: 'if (path.state !== "active") continue;',
    after: "",
    tests: PATH_CHOICE,
  },
  {
    name: "a blocked path is taken for one with room",
    file: "core/connection/path_choice.ts",
    before: "if (path.hasRoom && path.isWritable &&",
    after: "if (path.hasRoom &&",
    tests: PATH_CHOICE,
  },
  // core/connection/path_numbers.ts
  {
    name: "an attach can be used twice",
    file: "core/connection/path_numbers.ts",
    before: "this.#peerFloor = id + 2;",
    after: "this.#peerFloor = id;",
    tests: ACKS_AND_SESSION,
  },
  // core/connection/session.ts
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
    tests: STORIES,
  },
  {
    name: "a path that moved is not proved",
    file: "core/connection/session.ts",
    before: "    this.#trace?.onPathAssigned(path, now);\n    this.#challenge(path);",
    after: "    this.#trace?.onPathAssigned(path, now);",
    tests: PATH_VALIDATION,
  },
  // core/node/session_table.ts
  {
    name: "an older package moves a path",
    file: "core/node/session_table.ts",
    before: "if (path !== undefined && session.path(path)?.isNewest === true && pipe.binding?.path === path) {",
    after: "if (path !== undefined && pipe.binding?.path === path) {",
    tests: DATAGRAMS,
  },
  // core/connection/send_buffer.ts
  {
    name: "a copy for the second path is of bytes that are gone",
    file: "core/connection/send_buffer.ts",
    before: "return start >= this.#ackedFloor;",
    after: "return true;",
    tests: REDUNDANT,
  },
  {
    name: "what was acknowledged is sent again",
    file: "core/connection/send_buffer.ts",
    before: "for (const range of this.#acked.ranges) this.#lost.remove(range.start, range.end);",
    after: "",
    tests: BUFFERS,
  },
  // core/connection/package_builder.ts
  {
    name: "`redundant` sends no copy",
    file: "core/connection/package_builder.ts",
    before: "return this.#lastParts.length > 0 || this.#lastDatagrams.length > 0;",
    after: "return false;",
    tests: REDUNDANT,
  },
  // core/node/path_keeper.ts
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
  // core/connection/range_set.ts
  {
    name: "ranges that touch stay apart",
    file: "core/connection/range_set.ts",
    before: "(ranges[to] as Range).start <= mergedEnd",
    after: "(ranges[to] as Range).start < mergedEnd",
    tests: BUFFERS,
  },
  // core/connection/receive_buffer.ts
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
  // core/connection/stream_table.ts
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
  // core/connection/idle_budget.ts
  {
    name: "frames that move nothing cost nothing",
    file: "core/connection/idle_budget.ts",
    before: "if (++this.#spent > FRAMES_MAX) {",
    after: "if (++this.#spent > 1e9) {",
    tests: SESSION,
  },
  // core/connection/datagram_outbox.ts
  {
    name: "a datagram is sent after it expired",
    file: "core/connection/datagram_outbox.ts",
    before: "        if (now < front.expiresAt) {",
    after: "        if (now <= front.expiresAt) {",
    tests: DATAGRAM_OUTBOX,
  },
  {
    name: "expired copies are kept",
    file: "core/connection/datagram_outbox.ts",
    before: "--waiting.left >= 1 && dueAt < waiting.expiresAt",
    after: "--waiting.left >= 1",
    tests: DATAGRAM_OUTBOX,
  },
  // core/connection/package_protection.ts
  {
    name: "two paths share their nonces",
    file: "core/connection/package_protection.ts",
    before: "writeU32(nonce, 0, path);",
    after: "writeU32(nonce, 0, 0);",
    tests: PROTECTION,
  },
  {
    name: "keys change before the peer has the ones before",
    file: "core/connection/package_protection.ts",
    before: "if (this.#isPhaseConfirmed && this.#isWornOut(now)) this.#rekey(now);",
    after: "if (this.#isWornOut(now)) this.#rekey(now);",
    tests: PROTECTION,
  },
  {
    name: "a forged package changes the keys",
    file: "core/connection/package_protection.ts",
    before: "      key.destroy();\n      return undefined;",
    after: "      this.#phase = (this.#phase + 1) & PHASE_MASK;\n      return undefined;",
    tests: PROTECTION,
  },
  // core/node/flow_table.ts
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
  // core/node/datagram_demux.ts
  {
    name: "two nodes that forgot each other reset each other for ever",
    file: "core/node/datagram_demux.ts",
    before: "if (datagramBytes <= RESET_DATAGRAM_BYTES) return;",
    after: "",
    tests: DATAGRAMS,
  },
  {
    name: "a copy of a first message costs a second handshake",
    file: "core/node/datagram_demux.ts",
    before: "        handshakes.resend(pending, now);\n        return;",
    after: "        handshakes.resend(pending, now);",
    tests: DATAGRAMS,
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
  // core/node/stateless_reset.ts
  {
    name: "anybody may reset a session",
    file: "core/node/stateless_reset.ts",
    before: "return isNamed && entry.resetToken !== undefined && equalBytes(entry.resetToken, message.token);",
    after: "return isNamed;",
    tests: RESETS,
  },
  // core/node/retry_token.ts
  {
    name: "a token for one port proves another",
    file: "core/node/retry_token.ts",
    before: "writer.varint(to.port);",
    after: "writer.varint(0);",
    tests: RETRY_TOKEN,
  },
  // core/node/strike_register.ts
  {
    name: "an early message is taken right after a start",
    file: "core/node/strike_register.ts",
    before: 'if (!(now > this.#openAt)) return "starting";',
    after: "",
    tests: STRIKE_REGISTER,
  },
  // core/connection/stream_scheduler.ts
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
  // core/node/timer_heap.ts
  {
    name: "timers fire in any order",
    file: "core/node/timer_heap.ts",
    before: "if ((this.#heap[parent] as Entry).at <= (this.#heap[place] as Entry).at) return;",
    after: "if ((this.#heap[parent] as Entry).at <= (this.#heap[place] as Entry).at + 1e6) return;",
    tests: TIMER_HEAP,
  },
  {
    name: "a timer that is moved away stays",
    file: "core/node/timer_heap.ts",
    before: "    if (at < before) this.#rise(place);\n    else this.#sink(place);",
    after: "    if (at < before) this.#rise(place);",
    tests: TIMER_HEAP,
  },
  // core/node/resumer.ts
  {
    name: "pauses before a resume do not grow",
    file: "core/node/resumer.ts",
    before: "2 ** Math.max(0, Math.min(this.#tries - 1, 10))",
    after: "1",
    tests: RESUME,
  },
  {
    name: "a thousand clients come back as one",
    file: "core/node/resumer.ts",
    before: "this.at = now + pause * (0.5 + jitter);",
    after: "this.at = now + pause;",
    tests: RESUME,
  },
  // core/node/handshakes.ts
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
    before: "if (path === undefined && pipe.flow !== undefined) return false;\n      this.#fail(pending",
    after: "this.#fail(pending",
    tests: DATAGRAMS,
  },
  // core/node/handshake_resends.ts
  {
    name: "copies of a message are not slowed down",
    file: "core/node/handshake_resends.ts",
    before: "(this.#pauses.get(pipe) ?? FIRST_MS) * 2",
    after: "this.#pauses.get(pipe) ?? FIRST_MS",
    tests: RESENDS,
  },
  // core/connection/datagram_fec.ts
  {
    name: "a repair is delivered twice",
    file: "core/connection/datagram_fec.ts",
    before: "    this.#seen[place] = sequence;\n",
    after: "",
    tests: DATAGRAM_FEC,
  },
  // core/connection/package_builder.ts
  {
    name: "what asks for an answer is too small for that of a node that forgot",
    file: "core/connection/package_builder.ts",
    before: "const ASKING_DATAGRAM_BYTES_MIN = 41;",
    after: "const ASKING_DATAGRAM_BYTES_MIN = 1;",
    tests: PATH_VALIDATION,
  },
  // core/connection/recovery.ts
  {
    name: "packages over a slow relay are as large as over a quick one",
    file: "core/connection/recovery.ts",
    before: "if (smoothedMs <= RELAYED_QUICK_MS) return RELAYED_BYTES_MAX;",
    after: "if (smoothedMs >= 0) return RELAYED_BYTES_MAX;",
    tests: [`${CONNECTION}/relayed_recovery_test.ts`],
  },
];
