/**
 * The command `viaduct` as a user runs it: processes, files, signals, exit codes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { Folder, Program } from "./program.ts";

const CLI = "cli/main.ts";

function viaduct(folder: Folder, args: readonly string[]): Program {
  return new Program(CLI, args, { VIADUCT_HOME: folder.join("home") });
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

test("command: help, an unknown command, a missing argument and a bad setting have their exit codes", async () => {
  using folder = new Folder();
  for (const [args, code, pattern] of [
    [["--help"], 0, /connect to a node, not to an address/],
    [["send", "--help"], 0, /viaduct send FILE/],
    [["nonsense"], 2, /no command 'nonsense'/],
    [["ping"], 2, /TARGET is missing/],
    [["id", "--wrong"], 2, /--wrong/],
    [["ping", "via1aaaa"], 1, /ticket_invalid/],
    [["id", "--config", folder.join("none.json")], 1, /config_invalid/],
    [["send", folder.join("none.iso")], 1, /file_missing/],
  ] as const) {
    await using program = viaduct(folder, args);
    assert.equal(await program.exit(), code, program.output);
    assert.match(program.output, pattern);
  }
});

test("command: the key is made once, only for its owner; one that others can read is refused", async () => {
  using folder = new Folder();
  const ids: string[] = [];
  for (let round = 0; round < 2; round++) {
    await using program = viaduct(folder, ["id", "--json"]);
    await program.exit();
    ids.push(JSON.parse(program.output).id);
  }
  assert.equal(ids[0], ids[1]);
  assert.equal(statSync(folder.join("home/key")).mode & 0o777, 0o600);
  writeFileSync(folder.join("open"), readFileSync(folder.join("home/key")), { mode: 0o644 });
  await using refused = viaduct(folder, ["id", "--key", folder.join("open")]);
  assert.equal(await refused.exit(), 1);
  assert.match(refused.output, /chmod 600/);
  assert.match(refused.output, /key_file/);
});

test("command: a file goes through a relay; the sender is killed half way and restarted, the receiver resumes", async () => {
  using folder = new Folder();
  writeFileSync(folder.join("big.iso"), randomBytes(60_000_000));
  mkdirSync(folder.join("received"));
  await using relay = viaduct(folder, ["relay", "--listen", "tcp://127.0.0.1:0", "--key", folder.join("relay-key")]);
  const relayTicket = (await relay.until(/Ticket (via1\w+)/))[1] as string;
  const send = (): Program =>
    viaduct(folder, ["send", folder.join("big.iso"), "--relay", relayTicket, "--key", folder.join("sender-key")]);
  let ticket: string;
  let receive: Program;
  {
    await using sender = send();
    ticket = (await sender.until(/receive (via1\w+)/))[1] as string;
    receive = viaduct(folder, [
      ...["receive", ticket, "--relay", relayTicket, "--out", folder.join("received")],
      ...["--key", folder.join("receiver-key"), "--json"],
    ]);
    await receive.until(/"bytes":[1-9]\d{6,}/);
    sender.kill("SIGKILL");
  }
  await using receiver = receive;
  await receiver.until(/interrupted/);
  await using again = send();
  await receiver.until(/Trying again/);
  assert.equal(await receiver.exit(), 0, receiver.output.slice(-1000));
  assert.match(receiver.output, /"resumedBytes":[1-9]/);
  assert.equal(hashOf(folder.join("received/big.iso")), hashOf(folder.join("big.iso")));
  assert.equal(await again.exit(), 0, again.output);
});

test("command: a local port is reached from the other side, by two commands that would have the same key", async () => {
  using folder = new Folder();
  const server = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await using expose = viaduct(folder, ["forward", String(port)]);
  const ticket = (await expose.until(/Ticket (via1\w+)/))[1] as string;
  await using reach = viaduct(folder, ["forward", "0", ticket]);
  await reach.until(/going on with a fresh one/);
  const local = Number((await reach.until(/127\.0\.0\.1:(\d+) reaches/))[1]);
  const sent = randomBytes(3_000_000);
  const received: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port: local, host: "127.0.0.1" });
    socket.setTimeout(30_000, () => socket.destroy(new Error(`Nothing came for 30 s: ${reach.output}`)));
    socket.on("data", (bytes) => received.push(bytes));
    socket.on("end", resolve);
    socket.on("error", reject);
    socket.end(sent);
  });
  assert.ok(Buffer.concat(received).equals(sent));
  server.close();
});

test("command: chat carries lines both ways, ping tells path and time", async () => {
  using folder = new Folder();
  await using one = viaduct(folder, [
    "chat",
    "--name",
    "one",
    "--listen",
    "tcp://127.0.0.1:0",
    "--key",
    folder.join("a"),
  ]);
  const ticket = (await one.until(/Ticket (via1\w+)/))[1] as string;
  await using two = viaduct(folder, [
    "chat",
    ticket,
    "--name",
    "two",
    "--listen",
    "tcp://127.0.0.1:0",
    "--key",
    folder.join("b"),
  ]);
  await two.until(/Ticket/);
  two.child.stdin?.write("hello one\n");
  await one.until(/two: hello one/);
  one.child.stdin?.write("hello two\n");
  await two.until(/one: hello two/);
  await using ping = viaduct(folder, ["ping", ticket, "--count", "2", "--json", "--key", folder.join("c")]);
  assert.equal(await ping.exit(), 0, ping.output);
  assert.equal(ping.output.match(/"rttMs"/g)?.length, 2);
});
