/**
 * Settings of the command: a flag wins over the environment, the environment over the file, the file over the default.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ViaductError } from "../core/error.ts";

/** What can be set besides the arguments of a command. */
export interface Settings {
  /** Relays to register with: tickets or addresses. */
  readonly relays: readonly string[];
  /** Addresses to listen on. */
  readonly listen: readonly string[];
  /** Addresses for tickets besides those. */
  readonly announce: readonly string[];
  /** The file with the identity; `undefined` is anonymous. */
  readonly key: string | undefined;
  readonly name: string | undefined;
  /** The file with the admission to show to relays. */
  readonly admission: string | undefined;
  readonly isJson: boolean;
  /** Seconds before a command that waits gives up. */
  readonly timeoutMs: number;
}

/** Flags as `parseArgs` gives them. */
export type Flags = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

const FILE_BYTES_MAX = 64 * 1024;
const TIMEOUT_S = 30;

/** Where files of the command live. */
export function configDirectory(): string {
  return process.env.VIADUCT_HOME ?? join(process.env.XDG_CONFIG_HOME ?? join(homedir(), ".config"), "viaduct");
}

/** Reads the settings in their order. */
export function loadSettings(flags: Flags): Settings {
  const { env } = process;
  const file = loadFile(textOf(flags.config) ?? env.VIADUCT_CONFIG);
  const key = textOf(flags.key) ?? env.VIADUCT_KEY ?? fileText(file, "key") ?? join(configDirectory(), "key");
  const timeoutText = textOf(flags.timeout) ?? env.VIADUCT_TIMEOUT ?? fileText(file, "timeout") ?? String(TIMEOUT_S);
  const timeout = Number(timeoutText);
  if (!(timeout > 0 && timeout <= 86_400)) {
    throw new ViaductError("config_invalid", { detail: `timeout must be from 1 to 86400 seconds: '${timeoutText}'` });
  }
  return {
    relays: listOf(flags.relay) ?? split(env.VIADUCT_RELAY) ?? fileList(file, "relays") ?? [],
    listen: listOf(flags.listen) ?? split(env.VIADUCT_LISTEN) ?? fileList(file, "listen") ?? [],
    announce: listOf(flags.announce) ?? split(env.VIADUCT_ANNOUNCE) ?? fileList(file, "announce") ?? [],
    key: flags.anonymous === true ? undefined : key,
    name: textOf(flags.name) ?? env.VIADUCT_NAME ?? fileText(file, "name"),
    admission: textOf(flags.admission) ?? env.VIADUCT_ADMISSION ?? fileText(file, "admission"),
    isJson: flags.json === true,
    timeoutMs: timeout * 1000,
  };
}

function loadFile(path: string | undefined): ReadonlyMap<string, unknown> {
  const where = path ?? join(configDirectory(), "config.json");
  let text: string;
  try {
    text = readFileSync(where, "utf8");
  } catch (error) {
    if (path === undefined) return new Map();
    throw new ViaductError("config_invalid", { cause: error, detail: `'${where}' cannot be read` });
  }
  try {
    if (text.length > FILE_BYTES_MAX) throw new Error("it is too large");
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("it is not an object");
    return new Map(Object.entries(value));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ViaductError("config_invalid", { cause: error, detail: `'${where}': ${reason}` });
  }
}

function textOf(flag: Flags[string]): string | undefined {
  return typeof flag === "string" ? flag : undefined;
}

function listOf(flag: Flags[string]): string[] | undefined {
  if (typeof flag === "string") return [flag];
  return Array.isArray(flag) ? flag.filter((item) => typeof item === "string") : undefined;
}

function split(text: string | undefined): string[] | undefined {
  return text?.split(/[\s,]+/).filter((item) => item !== "");
}

function fileText(file: ReadonlyMap<string, unknown>, key: string): string | undefined {
  const value = file.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== "string" && typeof value !== "number") {
    throw new ViaductError("config_invalid", { detail: `'${key}' must be a text` });
  }
  return String(value);
}

function fileList(file: ReadonlyMap<string, unknown>, key: string): string[] | undefined {
  const value = file.get(key);
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) {
    throw new ViaductError("config_invalid", { detail: `'${key}' must be a list of texts` });
  }
  return value;
}
