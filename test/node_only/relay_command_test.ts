/**
 * The command `viaduct relay` and the names it keeps: through a kill, or not when told so.
 *
 * @module
 */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Node } from "../../adapters/node/mod.ts";
import { createNode } from "../../adapters/node/mod.ts";
import { Folder, Program } from "./program.ts";

interface RunningRelay extends AsyncDisposable {
  readonly program: Program;
  readonly ticket: string;
}

async function startRelay(folder: Folder, state: readonly string[]): Promise<RunningRelay> {
  const program = new Program(
    "cli/main.ts",
    ["relay", "--listen", "tcp://127.0.0.1:0", "--key", folder.join("relay-key"), ...state],
    { VIADUCT_HOME: folder.join("home") },
  );
  const ticket = (await program.until(/Ticket (via1\w+)/))[1] as string;
  return { program, ticket, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** The name that a node without any past has at the relay, or the code with which it is refused. */
async function nameOf(relay: RunningRelay, name: string): Promise<string> {
  await using node: Node = await createNode({ name, relays: [relay.ticket] });
  return await new Promise((resolve) => {
    void (async () => {
      for await (const event of node.events()) {
        if (event.type !== "relay") continue;
        const { state, error } = event.relay;
        if (state === "registered" || error !== undefined) return resolve(error ?? String(event.relay.name));
      }
    })();
  });
}

test("command: a relay that was killed keeps names for who had them", async () => {
  using folder = new Folder();
  const file = folder.join("relay-key.names");
  {
    await using relay = await startRelay(folder, []);
    assert.equal(await nameOf(relay, "alice"), "alice");
    while (!existsSync(file) || !readFileSync(file).includes("alice")) {
      assert.equal(relay.program.child.exitCode, null, relay.program.output);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    relay.program.kill("SIGKILL");
  }
  {
    await using relay = await startRelay(folder, []);
    assert.equal(await nameOf(relay, "alice"), "name_taken");
  }
  // Another file, and none at all.
  await using elsewhere = await startRelay(folder, ["--state", folder.join("other")]);
  assert.equal(await nameOf(elsewhere, "alice"), "alice");
  await using forgetful = await startRelay(folder, ["--state", "none"]);
  assert.equal(await nameOf(forgetful, "alice"), "alice");
});

test("command: a relay that cannot save its names says so and goes on", async () => {
  using folder = new Folder();
  mkdirSync(folder.join("names.new"), { recursive: true });
  await using relay = await startRelay(folder, ["--state", folder.join("names")]);
  assert.equal(await nameOf(relay, "alice"), "alice");
  await relay.program.until(/names were not saved: .*names'/);
  assert.equal(await nameOf(relay, "robert"), "robert");
});
