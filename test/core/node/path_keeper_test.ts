/**
 * The keeper of direct paths: when it dials, when it pauses, and that it never has two tries of one session under way.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EventQueue } from "../../../core/connection/event_queue.ts";
import type { PathKind } from "../../../core/connection/session_types.ts";
import { NEVER } from "../../../core/machine.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import type { EndpointOutput, PipeId } from "../../../core/node/endpoint_types.ts";
import { FlowTable } from "../../../core/node/flow_table.ts";
import { PathKeeper } from "../../../core/node/path_keeper.ts";
import { PipeTable } from "../../../core/node/pipe_table.ts";
import { Resume } from "../../../core/node/resumer.ts";
import type { SessionEntry } from "../../../core/node/session_entry.ts";
import { SessionPair } from "../connection/session_pair.ts";
import { testEnvironment } from "../test_environment.ts";

const ADDRESSES = ["udp://a:1", "tcp://b:1", "udp://c:1"];

/** A keeper, one session, and what was asked of the owner. */
class Keeping {
  now = 1000;
  readonly pair = new SessionPair();
  readonly outputs: EventQueue<EndpointOutput> = new EventQueue();
  readonly keeper: PathKeeper;
  readonly entry: SessionEntry;
  readonly #pipes: PipeTable;
  #nextPath = 0;

  constructor(
    options: { wanted?: number; addresses?: readonly string[]; isConfirmed?: boolean; jitter?: number } = {},
  ) {
    const { wanted = 2, addresses = ADDRESSES, isConfirmed = true, jitter = 0.5 } = options;
    const env = { ...testEnvironment(1), jitter: () => jitter };
    this.#pipes = new PipeTable(DEFAULT_ENDPOINT_LIMITS, env, this.outputs, new FlowTable(this.outputs));
    this.keeper = new PathKeeper({ pipes: this.#pipes, env, wanted });
    this.entry = {
      id: 1,
      session: this.pair.left.session,
      remoteId: undefined,
      isInitiator: true,
      isAnonymous: false,
      openedAt: this.now,
      localConnectionId: 1,
      remoteConnectionId: 2,
      resetToken: undefined,
      instance: undefined,
      isConfirmed,
      confirmToken: 0,
      pipes: new Map(),
      resume: new Resume(addresses),
      pathsWanted: 1,
      early: undefined,
    };
  }

  /** The addresses dialled since the last call; a try that is ended shows as `destroy`. */
  take(): string[] {
    const all: string[] = [];
    for (let output = this.outputs.shift(); output !== undefined; output = this.outputs.shift()) {
      all.push(output.type === "dial" ? output.address : output.type);
    }
    return all;
  }

  change(): string[] {
    this.keeper.onChange(this.entry, this.now);
    return this.take();
  }

  /** Opens a pipe, one that was dialled or one that came, and makes it a path. */
  open(kind: PathKind, dialled?: PipeId): PipeId {
    const pipe = dialled ?? this.#pipes.allocate();
    const opened = { pipe, kind, remote: "test", remoteHost: undefined, isDialled: true };
    assert.ok(this.#pipes.open(opened, this.now) !== undefined);
    this.entry.pipes.set(this.#nextPath++, pipe);
    return pipe;
  }

  /** The pipe of the try under way, if there is one. */
  get tried(): PipeId | undefined {
    for (let pipe = 1; pipe < 1000; pipe++) if (this.keeper.entryOf(pipe) !== undefined) return pipe;
    return undefined;
  }

  /** Paths that are no relay's. */
  get directCount(): number {
    return [...this.entry.pipes.values()].filter((id) => this.#pipes.get(id)?.facts.kind !== "relay").length;
  }

  /** The try under way became a path. */
  succeed(): PipeId {
    const pipe = this.tried as PipeId;
    this.open("datagrams", pipe);
    this.keeper.onPipe(pipe, true, this.now);
    return pipe;
  }

  /** The try under way came to nothing. */
  fail(): string[] {
    const pipe = this.tried as PipeId;
    this.#pipes.forget(pipe);
    this.keeper.onPipe(pipe, false, this.now);
    return this.take();
  }

  /** A path is gone. */
  lose(pipe: PipeId): string[] {
    for (const [path, id] of this.entry.pipes) if (id === pipe) this.entry.pipes.delete(path);
    this.#pipes.forget(pipe);
    return this.change();
  }

  /** Goes to the next timer; returns how long that took. */
  toTimer(): number {
    const at = this.keeper.pollTimeout();
    assert.notEqual(at, NEVER);
    const waited = at - this.now;
    this.now = at;
    this.keeper.handleTimeout(this.now);
    return waited;
  }
}

test("path keeper: with fewer direct paths than wanted it dials at once, what no path uses, one at a time", () => {
  const keeping = new Keeping({ wanted: 3 });
  assert.deepEqual(keeping.change(), [ADDRESSES[0]]);
  assert.deepEqual(keeping.change(), [], "one try is under way");
  keeping.succeed();
  assert.deepEqual(keeping.take(), [], "then it pauses");
  assert.equal(keeping.toTimer(), 1000);
  assert.deepEqual(keeping.take(), [ADDRESSES[1]], "the first one is used");
  keeping.succeed();
  assert.equal(keeping.toTimer(), 2000, "each pause is twice as long");
  assert.deepEqual(keeping.take(), [ADDRESSES[2]]);
  keeping.succeed();
  assert.equal(keeping.keeper.pollTimeout(), NEVER, "there are enough");
});

test("path keeper: nothing is dialled without an address, for a session not confirmed, or with paths enough", () => {
  assert.deepEqual(new Keeping({ addresses: [] }).change(), []);
  const unconfirmed = new Keeping({ isConfirmed: false });
  assert.deepEqual(unconfirmed.change(), []);
  assert.equal(unconfirmed.keeper.pollTimeout(), NEVER);
  unconfirmed.entry.isConfirmed = true;
  assert.deepEqual(unconfirmed.change(), [ADDRESSES[0]]);
  const enough = new Keeping({ wanted: 1 });
  enough.open("bytes");
  assert.deepEqual(enough.change(), []);
});

test("path keeper: a path over a relay does not count, and a session may want more than the others", () => {
  const relayed = new Keeping({ wanted: 1 });
  relayed.open("relay");
  assert.deepEqual(relayed.change(), [ADDRESSES[0]], "a way around the relay");
  const greedy = new Keeping({ wanted: 1 });
  greedy.open("bytes");
  greedy.entry.pathsWanted = 2;
  assert.deepEqual(greedy.change(), [ADDRESSES[0]]);
  const modest = new Keeping({ wanted: 2 });
  modest.open("bytes");
  modest.entry.pathsWanted = 1;
  assert.deepEqual(modest.change(), [ADDRESSES[0]], "the larger number holds");
});

test("path keeper: a round of all addresses in vain is followed by a pause, each twice as long, up to a minute", () => {
  const keeping = new Keeping();
  const pauses: number[] = [];
  let dialled = keeping.change();
  for (let round = 0; round < 9; round++) {
    for (const address of ADDRESSES) {
      assert.deepEqual(dialled, [address]);
      dialled = keeping.fail();
    }
    assert.deepEqual(dialled, []);
    pauses.push(keeping.toTimer());
    dialled = keeping.take();
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test("path keeper: pauses vary by half, so that two nodes do not dial in step", () => {
  for (const [jitter, pause] of [
    [0, 500],
    [0.999, 1499],
  ] as const) {
    const keeping = new Keeping({ jitter, addresses: ["udp://a:1"] });
    keeping.change();
    keeping.fail();
    assert.equal(keeping.toTimer(), pause);
  }
});

test("path keeper: a try that says nothing is given up after ten seconds, and the next address has its turn", () => {
  const keeping = new Keeping();
  assert.deepEqual(keeping.change(), [ADDRESSES[0]]);
  const silent = keeping.tried as PipeId;
  assert.equal(keeping.toTimer(), 10_000);
  assert.deepEqual(keeping.take(), ["destroy", ADDRESSES[1]]);
  assert.equal(keeping.keeper.entryOf(silent), undefined);
  keeping.keeper.onPipe(silent, true, keeping.now);
  assert.deepEqual(keeping.take(), [], "what comes of it later is nobody's");
});

test("path keeper: a path that held is brought back at once, one that died young is not", () => {
  const keeping = new Keeping({ wanted: 1 });
  keeping.change();
  const first = keeping.succeed();
  keeping.take();
  keeping.now += 10;
  assert.deepEqual(keeping.lose(first), [], "it is followed by a pause");
  assert.equal(keeping.toTimer(), 990);
  assert.deepEqual(keeping.take(), [ADDRESSES[0]]);
  const second = keeping.succeed();
  keeping.take();
  keeping.now += 60_000;
  assert.deepEqual(keeping.lose(second), [ADDRESSES[0]]);
  const third = keeping.succeed();
  keeping.take();
  keeping.lose(third);
  assert.equal(keeping.keeper.pollTimeout() - keeping.now, 1000, "the second one lived long: pauses are short again");
});

test("path keeper: addresses that are new are worth a try in the middle of a pause", () => {
  const keeping = new Keeping({ addresses: ["udp://a:1"] });
  keeping.change();
  keeping.fail();
  keeping.entry.resume.addAddresses(["udp://new:1"]);
  assert.deepEqual(keeping.change(), [], "a pause is a pause");
  keeping.keeper.onAddresses(keeping.entry, keeping.now);
  assert.deepEqual(keeping.take(), ["udp://new:1"]);
  keeping.keeper.onAddresses(keeping.entry, keeping.now);
  assert.deepEqual(keeping.take(), [], "one try is under way");
});

test("path keeper: with the session its try ends, unless that is a handshake or a path by now", () => {
  const keeping = new Keeping();
  keeping.change();
  keeping.pair.left.session.drop("session_lost", keeping.now);
  assert.deepEqual(keeping.change(), ["destroy"]);
  assert.equal(keeping.tried, undefined);
  assert.equal(keeping.keeper.pollTimeout(), NEVER);
  const idle = new Keeping();
  idle.pair.left.session.drop("session_lost", idle.now);
  assert.deepEqual(idle.change(), []);
});

test("path keeper: whatever becomes of tries and paths, one try at most is under way, and it never rests while it wants", () => {
  const step = fc.constantFrom("change", "succeed", "fail", "lose", "relay", "timer", "wait", "addresses");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (steps, wanted) => {
      const keeping = new Keeping({ wanted });
      const { entry, keeper } = keeping;
      let dials = 0;
      keeping.change();
      for (const step of steps) {
        const direct = [...entry.pipes.values()];
        if (step === "change") keeping.change();
        else if (step === "succeed" && keeping.tried !== undefined) keeping.succeed();
        else if (step === "fail" && keeping.tried !== undefined) keeping.fail();
        else if (step === "lose" && direct.length > 0) keeping.lose(direct[0] as PipeId);
        else if (step === "relay") keeping.open("relay");
        else if (step === "timer" && keeper.pollTimeout() !== NEVER) keeping.toTimer();
        else if (step === "addresses") keeper.onAddresses(entry, keeping.now);
        else if (step === "wait") {
          keeping.now += 700;
          keeper.handleTimeout(keeping.now);
        }
        dials += keeping.take().filter((what) => what !== "destroy").length;
        const under = Array.from({ length: 1000 }, (_, pipe) => pipe).filter((pipe) => keeper.entryOf(pipe));
        assert.ok(under.length <= 1, "two tries at once");
        keeping.change();
        assert.ok(keeper.pollTimeout() > keeping.now, "a deadline in the past would make a driver spin");
        assert.ok(keeper.pollTimeout() === NEVER || keeper.pollTimeout() <= keeping.now + 90_000);
        const isAtWork = keeping.tried !== undefined || keeping.directCount < wanted;
        if (isAtWork) assert.notEqual(keeper.pollTimeout(), NEVER, "a try has an end, and so has a pause");
      }
      assert.ok(dials <= steps.length * 2 + 2);
    }),
    { seed: 0x6e4, numRuns: 100 },
  );
});
