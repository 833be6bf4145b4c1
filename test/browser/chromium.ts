/**
 * A headless Chromium for tests.
 *
 * @module
 */

import { existsSync } from "node:fs";
import process from "node:process";
import { type Browser, chromium, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts it, or throws with what is missing. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = [process.env.CHROMIUM, ...PLACES].find((place) => place !== undefined && existsSync(place));
  if (executablePath === undefined)
    throw new Error("There is no Chromium here: install it, or set CHROMIUM to its path");
  return await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A tab with storage of its own that fails the test when the page throws or breaks its security policy. */
export async function openTab(browser: Browser, url: string, problems: string[]): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && message.text().includes("Content Security Policy")) problems.push(message.text());
  });
  await page.goto(url);
  return page;
}
