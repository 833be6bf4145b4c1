/**
 * The bridge in a real browser: two tabs and a node chat, a file goes tab to node to tab, and the relay is restarted in
 * the middle of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { createRelay, type Node, type RelayHandle } from "../../adapters/node/mod.ts";
import { startBridgePeer } from "../../examples/bridge/peer.ts";
import { buildPage, servePage } from "../../examples/bridge/serve_page.ts";
import { launchChromium, openTab } from "./chromium.ts";

/** Megabytes of the file that goes tab to node to tab: enough to restart a relay in, or as many as one asks for. */
const FILE_MB = Number(process.env.VIADUCT_BROWSER_FILE_MB ?? 24);
const FILE_BYTES = FILE_MB * 1_000_000;
/** A hang is what it bounds, so it leaves a busy machine with a slow browser time: 1 MB/s each way. */
const TRANSFER_TIMEOUT_MS = 90_000 + FILE_MB * 1_000;
const REGISTERED = '[data-testid="status"][data-state="registered"]';

test("browser: two tabs and a node chat and pass a file while the relay is restarted", async (t) => {
  const data = mkdtempSync(join(tmpdir(), "viaduct-bridge-"));
  const page = await buildPage();
  const startRelay = (listen: readonly string[]): Promise<RelayHandle> =>
    createRelay({
      identity: { store: join(data, "relay-key") },
      listen,
      relay: { classes: { anonymous: { bytesPerSecond: 0 } } },
      onHttpRequest: ({ method, path }) => servePage(page, method, path),
    });
  let relay = await startRelay(["ws://127.0.0.1:0", "tcp://127.0.0.1:0"]);
  const addresses = relay.node.addresses;
  const problems: string[] = [];
  let browser: Browser | undefined;
  let node: Node | undefined;
  try {
    node = await startBridgePeer({ relay: relay.ticket(), data });
    browser = await launchChromium();
    const url = `${addresses[0]?.replace("ws:", "http:")}/`;
    const [left, right] = [await openTab(browser, url, problems), await openTab(browser, url, problems)];
    await Promise.all([left, right].map((tab) => tab.waitForSelector(REGISTERED)));
    const rightName = (await right.textContent('[data-testid="my-name"]')) as string;

    await left.waitForSelector(`[data-name="${rightName}"]`);
    await left.waitForSelector('[data-name="bridge"]');
    await left.fill('[data-testid="line"]', "hello everyone");
    await left.keyboard.press("Enter");
    await right.waitForSelector('#log li:has-text("hello everyone")');
    await left.waitForSelector('#log li:has-text("You said")');
    await left.waitForSelector('#log [data-mark="delivered"]');

    const path = join(data, "up.bin");
    const bytes = randomBytes(FILE_BYTES);
    writeFileSync(path, bytes);
    const hash = createHash("sha256").update(bytes).digest("hex");
    const startedAt = performance.now();
    await left.click('[data-name="bridge"]');
    await left.setInputFiles('[data-testid="file"]', path);
    await left.waitForFunction(() => Number(document.querySelector("progress")?.value ?? 0) > 0.1);
    await relay.close();
    await left.waitForSelector('[data-testid="status"]:not([data-state="registered"])');
    relay = await startRelay(addresses);
    assert.equal(await finished(left), hash);
    t.diagnostic(`${FILE_MB} MB tab to node with the relay restarted: ${seconds(startedAt)} s`);

    await right.check('[data-testid="auto-accept"]');
    await right.waitForSelector(REGISTERED);
    const returnedAt = performance.now();
    await right.click('[data-name="bridge"]');
    await right.fill('[data-testid="line"]', "send up.bin");
    await right.keyboard.press("Enter");
    assert.equal(await finished(right), hash);
    t.diagnostic(`${FILE_MB} MB node to tab: ${seconds(returnedAt)} s`);

    // The same token brings the same name, and each line was shown once.
    assert.equal(await right.textContent('[data-testid="my-name"]'), rightName);
    assert.equal(await right.locator('#log li:has-text("hello everyone")').count(), 1);
    await right.reload();
    await right.waitForSelector(REGISTERED);
    assert.equal(await right.textContent('[data-testid="my-name"]'), rightName);
    assert.deepEqual(problems, []);
  } finally {
    await browser?.close();
    await node?.close();
    await relay.close();
    rmSync(data, { recursive: true, force: true });
  }
});

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}

/** Waits until the newest transfer of a tab is done and returns its hash. */
async function finished(tab: Page): Promise<string | null> {
  await tab.waitForSelector('#transfers li:first-child[data-state="done"]', { timeout: TRANSFER_TIMEOUT_MS });
  return await tab.getAttribute("#transfers li:first-child", "data-sha256");
}
