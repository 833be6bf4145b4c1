/**
 * What every runtime's key store must do: keep one identity, for its owner alone, and refuse what is no key without
 * touching it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { KeyStore } from "../../adapters/runtime.ts";
import { createNode, runtime } from "../api/runtime_under_test.ts";

const keys = runtime.keys as KeyStore;
const isUnix = process.platform !== "win32";

async function withFolder(act: (path: (name: string) => string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "viaduct keys "));
  try {
    await act((name) => join(folder, name));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A source of seeds that counts its calls and never gives the same twice. */
function source(): { random: (out: Uint8Array) => void; calls: number } {
  const state = {
    calls: 0,
    random: (out: Uint8Array): void => {
      state.calls++;
      runtime.random(out);
    },
  };
  return state;
}

test("keys: a key is made once and loaded from then on, below folders that are made too", async () => {
  await withFolder(async (path) => {
    const fresh = source();
    const seed = await keys.loadOrCreate(path("a/b/key"), fresh.random);
    assert.equal(seed.length, 32);
    assert.equal(fresh.calls, 1);
    assert.ok(seed.some((byte) => byte !== 0));
    const unused = source();
    assert.deepEqual(await keys.loadOrCreate(path("a/b/key"), unused.random), seed);
    assert.equal(unused.calls, 0, "A key that is there needs no randomness");
    assert.notDeepEqual(await keys.loadOrCreate(path("other"), fresh.random), seed);
    // Nothing that was written aside stays behind.
    assert.deepEqual(await readdir(path("a/b")), ["key"]);
  });
});

test("keys: whoever begins at once ends with the same key", async () => {
  await withFolder(async (path) => {
    const fresh = source();
    const seeds = await Promise.all(Array.from({ length: 8 }, () => keys.loadOrCreate(path("key"), fresh.random)));
    for (const seed of seeds) assert.deepEqual(seed, seeds[0]);
    assert.deepEqual(await readdir(path(".")), ["key"]);
  });
});

test("keys: the file is its owner's alone, whatever the umask; its folder too", async (t) => {
  if (!isUnix) return t.skip("There are no modes here");
  await withFolder(async (path) => {
    const before = process.umask(0);
    try {
      await keys.loadOrCreate(path("folder/key"), runtime.random.bind(runtime));
    } finally {
      process.umask(before);
    }
    assert.equal((await stat(path("folder/key"))).mode & 0o777, 0o600);
    assert.equal((await stat(path("folder"))).mode & 0o777, 0o700);
  });
});

test("keys: a key that others can read is refused with what to do, and taken once it is not", async (t) => {
  if (!isUnix) return t.skip("There are no modes here");
  await withFolder(async (path) => {
    const seed = await keys.loadOrCreate(path("key"), runtime.random.bind(runtime));
    for (const mode of [0o640, 0o604, 0o620, 0o666]) {
      await chmod(path("key"), mode);
      await assert.rejects(keys.loadOrCreate(path("key"), failing), (error: Error & { code?: string }) => {
        assert.equal(error.code, "key_file");
        assert.ok(error.message.includes(`chmod 600 '${path("key")}'`), error.message);
        return true;
      });
    }
    await chmod(path("key"), 0o400);
    assert.deepEqual(await keys.loadOrCreate(path("key"), failing), seed);
  });
});

test("keys: what is no key, or a damaged one, is refused, left as it was, and never shown", async () => {
  await withFolder(async (path) => {
    await keys.loadOrCreate(path("key"), runtime.random.bind(runtime));
    const text = await readFile(path("key"), "utf8");
    const secret = /[0-9a-f]{64}/.exec(text)?.[0] as string;
    const damaged = text.replace(
      secret,
      secret.replace(/^./, (first) => (first === "0" ? "1" : "0")),
    );
    const bad = ["", "\n", "x".repeat(2000), text.slice(0, -2), text.slice(1), `${text}${text}`, damaged, "\u0000"];
    for (const content of bad) {
      await writeFile(path("bad"), content, { mode: 0o600 });
      await assert.rejects(keys.loadOrCreate(path("bad"), failing), (error: Error & { code?: string }) => {
        assert.equal(error.code, "key_file", JSON.stringify(content));
        assert.ok(error.message.includes(path("bad")), error.message);
        assert.ok(!error.message.includes(secret.slice(2, 20)), "A message must not hold what it is about");
        return true;
      });
      assert.equal(await readFile(path("bad"), "utf8"), content);
    }
  });
});

test("keys: a directory, a path below a file, and a link to nowhere are refused or followed", async (t) => {
  await withFolder(async (path) => {
    await mkdir(path("directory"), { mode: 0o700 });
    await writeFile(path("file"), "", { mode: 0o600 });
    for (const name of ["directory", "file/key"]) {
      await assert.rejects(keys.loadOrCreate(path(name), runtime.random.bind(runtime)), { code: "key_file" });
    }
    if (!isUnix) return t.skip("Links are another matter here");
    const seed = await keys.loadOrCreate(path("key"), runtime.random.bind(runtime));
    await symlink(path("key"), path("link"));
    assert.deepEqual(await keys.loadOrCreate(path("link"), failing), seed);
    // A name that is taken by a link to nowhere is never written through.
    await symlink(path("nowhere"), path("dangling"));
    await assert.rejects(keys.loadOrCreate(path("dangling"), runtime.random.bind(runtime)), { code: "key_file" });
    await assert.rejects(stat(path("nowhere")), { code: "ENOENT" });
  });
});

test("keys: a node that is made with a stored key is the same node again", async () => {
  await withFolder(async (path) => {
    const ids: string[] = [];
    for (let round = 0; round < 2; round++) {
      const node = await createNode({ identity: { store: path("key") } });
      ids.push(node.id);
      await node.close();
    }
    assert.equal(ids[0], ids[1]);
    await writeFile(path("key"), "no key", { mode: 0o600 });
    await assert.rejects(createNode({ identity: { store: path("key") } }), { code: "key_file" });
  });
});

function failing(): never {
  throw new Error("No new key is to be made");
}
