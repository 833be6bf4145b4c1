/** Tickets for early data, on the side that makes them and the side that keeps them. @module */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EarlyTickets } from "../../../core/node/early_tickets.ts";
import {
  EARLY_SECRET_BYTES,
  EARLY_TICKET_BYTES,
  EARLY_TICKET_LIFETIME_MS,
  TicketBook,
} from "../../../core/node/ticket_book.ts";
import { testEnvironment } from "../test_environment.ts";

const HOLDER = new Uint8Array(32).fill(3);
const SEED = 20_261_121;

test("early tickets: a ticket opens here, for the node that it was made for, and says when it was made", () => {
  const tickets = new EarlyTickets(testEnvironment(1));
  const made = tickets.issue(HOLDER, 1234.75);
  assert.ok(made !== undefined);
  assert.deepEqual([made.ticket.length, made.secret.length], [EARLY_TICKET_BYTES, EARLY_SECRET_BYTES]);
  const opened = tickets.open(made.ticket, 2_000);
  assert.equal(opened?.issuedAt, 1234);
  assert.deepEqual(opened?.secretFor(HOLDER), made.secret);
  assert.notDeepEqual(opened?.secretFor(new Uint8Array(32).fill(4)), made.secret);
  assert.equal(new EarlyTickets(testEnvironment(2)).open(made.ticket, 2_000), undefined);
});

test("early tickets: a changed ticket is not opened, or has another secret", () => {
  const tickets = new EarlyTickets(testEnvironment(1));
  const made = tickets.issue(HOLDER, 5_000_000);
  assert.ok(made !== undefined);
  for (let at = 0; at < EARLY_TICKET_BYTES; at++) {
    const changed = made.ticket.slice();
    changed[at] = (changed[at] as number) ^ 1;
    assert.notDeepEqual(tickets.open(changed, 5_000_000)?.secretFor(HOLDER), made.secret, `byte ${at}`);
  }
  for (const length of [0, 1, EARLY_TICKET_BYTES - 1, EARLY_TICKET_BYTES + 1]) {
    assert.equal(tickets.open(new Uint8Array(length), 0), undefined);
  }
});

test("early tickets: they live a day, across the change of the key", () => {
  const tickets = new EarlyTickets(testEnvironment(1));
  tickets.issue(HOLDER, 0);
  const late = tickets.issue(HOLDER, EARLY_TICKET_LIFETIME_MS - 1);
  const next = tickets.issue(HOLDER, EARLY_TICKET_LIFETIME_MS);
  assert.ok(late !== undefined && next !== undefined);
  assert.notDeepEqual(late.ticket.subarray(0, 4), next.ticket.subarray(0, 4));
  const lastAt = 2 * EARLY_TICKET_LIFETIME_MS - 1;
  assert.ok(tickets.open(late.ticket, lastAt) !== undefined);
  assert.equal(tickets.open(late.ticket, lastAt + 1), undefined);
});

test("early tickets: nobody is given one while nothing would be taken", () => {
  let isWanted = false;
  const tickets = new EarlyTickets(testEnvironment(1), { isWanted: () => isWanted });
  assert.equal(tickets.issue(HOLDER, 0), undefined);
  isWanted = true;
  assert.ok(tickets.issue(HOLDER, 0) !== undefined);
});

test("early tickets: each is admitted once, fresh, and none when too many were", () => {
  const tickets = new EarlyTickets(testEnvironment(1), { strikesMax: 2 });
  const open = (now: number) => tickets.open((tickets.issue(HOLDER, now) as { ticket: Uint8Array }).ticket, now);
  const [one, two, three] = [open(0), open(0), open(0)];
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  assert.equal(tickets.admit(one, 500, 500), true);
  assert.equal(tickets.admit(one, 500, 500), false);
  assert.equal(tickets.admit(two, 20_000, 9_000), false);
  assert.equal(tickets.admit(two, 0, 10_000), true);
  assert.equal(tickets.admit(three, 10_000, 10_000), false);
  assert.equal(tickets.admit(three, 40_000, 40_000), true);
  assert.equal(tickets.admit(three, Number.NaN, 40_000), false);
});

test(`ticket book: bounded, newest first, each ticket once (seed ${SEED})`, () => {
  const step = fc.record({
    node: fc.nat(60),
    isTaking: fc.boolean(),
    lifetimeMs: fc.oneof(fc.nat(50), fc.constant(Number.MAX_SAFE_INTEGER)),
    passedMs: fc.nat(5),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
      const book = new TicketBook();
      const taken = new Set<number>();
      let now = 0;
      let serial = 0;
      for (const { node, isTaking, lifetimeMs, passedMs } of steps) {
        now += passedMs;
        if (isTaking) {
          const held = book.take(`node${node}`, now);
          if (held === undefined) continue;
          const number = held.ticket[0] as number;
          assert.ok(!taken.has(number) && held.expiresAt > now);
          taken.add(number);
        } else {
          // Numbers stand for tickets here: the book does not look inside.
          const ticket = [serial++] as unknown as Uint8Array<ArrayBuffer>;
          book.add(`node${node}`, { ticket, secret: new Uint8Array(32), lifetimeMs }, now);
        }
        assert.ok(book.size >= 0 && book.size <= 256);
      }
    }),
    { seed: SEED, numRuns: 40 },
  );
  const book = new TicketBook();
  for (let index = 0; index < 1_000; index++) {
    book.add(`n${index % 100}`, { ticket: new Uint8Array(22), secret: new Uint8Array(32), lifetimeMs: 1_000 }, index);
  }
  assert.equal(book.size, 256);
  book.add(undefined, undefined, 0);
  assert.equal(book.size, 256);
});
