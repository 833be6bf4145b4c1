/**
 * What a user is told when a disk is full, a file vanishes half way, or a key file cannot be used: one message with a
 * stable code that says what to do, an exit code, and a way to go on.
 *
 * @module
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { type TestContext, test } from "node:test";
import { keyFiles } from "../../adapters/node/key_file.ts";
import { openSource } from "../../cli/file_on_disk.ts";
import { Folder, Program } from "./program.ts";

const CLI = "cli/main.ts";

function viaduct(folder: Folder, args: readonly string[]): Program {
  return new Program(CLI, args, { VIADUCT_HOME: folder.join("home") });
}

/** Starts a sender of the file and returns it with its ticket. */
async function startSender(folder: Folder, path: string): Promise<{ sender: Program; ticket: string }> {
  const sender = viaduct(folder, [
    ...["send", path, "--listen", "tcp://127.0.0.1:0"],
    ...["--key", folder.join("sender-key"), "--json"],
  ]);
  return { sender, ticket: (await sender.until(/"ticket":"(via1\w+)"/))[1] as string };
}

function receive(folder: Folder, ticket: string, out: string): Program {
  return viaduct(folder, ["receive", ticket, "--out", out, "--key", folder.join("receiver-key"), "--json"]);
}

/** A file that takes no room on this disk. */
function makeFile(path: string, bytes: number): string {
  writeFileSync(path, "");
  truncateSync(path, bytes);
  return path;
}

/** A disk of 1 MiB at `path`, or `undefined` where the system does not let us make one. */
function smallDisk(path: string): Disposable | undefined {
  mkdirSync(path);
  if (process.platform !== "linux" || process.getuid?.() !== 0) return undefined;
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]).status !== 0) return undefined;
  return { [Symbol.dispose]: () => void spawnSync("umount", [path]) };
}

async function checkDiskFull(folder: Folder, source: string, out: string): Promise<void> {
  const { sender, ticket } = await startSender(folder, source);
  await using serving = sender;
  await using receiver = receive(folder, ticket, out);
  assert.equal(await receiver.exit(), 1, receiver.output);
  assert.match(receiver.output, /"error":"disk_full"/);
  assert.match(receiver.output, /The disk is full: free some space and start again/);
  assert.doesNotMatch(receiver.output, /Trying again/);
  assert.doesNotMatch(receiver.output, /\n\s+at /, "A stack is no message");
  // The sender goes on serving: the receiver may come back when there is room.
  await serving.until(/The transfer stopped/);
  assert.equal(serving.child.exitCode, null);
  mkdirSync(folder.join("later"));
  await using again = receive(folder, ticket, folder.join("later"));
  assert.equal(await again.exit(), 0, again.output);
  assert.equal(await serving.exit(), 0, serving.output);
}

test("faults: a receiver whose disk is full says so, and the sender stays", async (t: TestContext) => {
  using folder = new Folder();
  const out = folder.join("small");
  using disk = smallDisk(out);
  if (disk === undefined) return t.skip("A small disk takes root and Linux");
  await checkDiskFull(folder, makeFile(folder.join("big.iso"), 8_000_000), out);
});

test("faults: a device that is always full is told the same way", async (t: TestContext) => {
  if (!existsSync("/dev/full")) return t.skip("There is no /dev/full here");
  using folder = new Folder();
  const path = makeFile(folder.join("big.iso"), 3_000_000);
  const out = folder.join("out");
  mkdirSync(out);
  // As if an earlier try of the same transfer had left its part on such a device.
  await using source = await openSource(path);
  writeFileSync(`${out}/big.iso.part.id`, source.id);
  symlinkSync("/dev/full", `${out}/big.iso.part`);
  await checkDiskFull(folder, path, out);
});

test("faults: a file that vanishes half way ends both sides, each with a reason", async () => {
  using folder = new Folder();
  mkdirSync(folder.join("out"));
  const path = makeFile(folder.join("big.iso"), 4_000_000_000);
  const { sender, ticket } = await startSender(folder, path);
  await using serving = sender;
  await using receiver = receive(folder, ticket, folder.join("out"));
  await receiver.until(/"bytes":[1-9]\d{6,}/);
  unlinkSync(path);
  assert.equal(await serving.exit(), 1, serving.output);
  assert.match(serving.output, /"error":"file_missing"/);
  assert.equal(await receiver.exit(), 1, receiver.output);
  assert.match(receiver.output, /"error":"refused"/);
  assert.match(receiver.output, /does not exist or vanished/);
  assert.ok(!existsSync(folder.join("out/big.iso")), "What is not whole must not have the file's name");
});

test("faults: a file that is written to half way ends both sides, each with a reason", async () => {
  using folder = new Folder();
  mkdirSync(folder.join("out"));
  const path = makeFile(folder.join("big.iso"), 4_000_000_000);
  const { sender, ticket } = await startSender(folder, path);
  await using serving = sender;
  await using receiver = receive(folder, ticket, folder.join("out"));
  await receiver.until(/"bytes":[1-9]\d{6,}/);
  truncateSync(path, 10);
  assert.equal(await serving.exit(), 1, serving.output);
  assert.match(serving.output, /"error":"file_changed"/);
  assert.equal(await receiver.exit(), 1, receiver.output);
  assert.match(receiver.output, /changed during the transfer/);
});

test("faults: a key file that is no key, a directory, or below a file is refused and left as it was", async () => {
  using folder = new Folder();
  writeFileSync(folder.join("text"), "not a key\n", { mode: 0o600 });
  writeFileSync(folder.join("long"), "x".repeat(5000), { mode: 0o600 });
  mkdirSync(folder.join("directory"), { mode: 0o700 });
  for (const name of ["text", "long", "directory", "text/key"]) {
    await using program = viaduct(folder, ["id", "--key", folder.join(name)]);
    assert.equal(await program.exit(), 1, program.output);
    assert.match(program.output, /key_file/);
    assert.ok(program.output.includes(folder.join(name)), "The message names the file");
    assert.doesNotMatch(program.output, /\n\s+at /, "A stack is no message");
  }
});

test("faults: a key file that we may not read is refused", async (t: TestContext) => {
  if (process.platform === "win32" || process.geteuid === undefined) return t.skip("Permissions are another matter");
  using folder = new Folder();
  const path = folder.join("key");
  await keyFiles.loadOrCreate(path, (out) => void out.fill(7));
  const isRoot = process.geteuid() === 0;
  // Root may read everything: be somebody else for a moment.
  chmodSync(folder.path, 0o755);
  if (isRoot) process.seteuid?.(65_534);
  else chmodSync(path, 0o000);
  try {
    await assert.rejects(
      keyFiles.loadOrCreate(path, () => {}),
      (error: { code?: string; message?: string }) =>
        error.code === "key_file" && /permission denied: become its owner/.test(String(error.message)),
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});
