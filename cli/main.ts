#!/usr/bin/env node
/**
 * The command `viaduct`.
 *
 * Exit codes: 0 done, 1 failed (the code of the error is shown), 2 called wrongly, 130 interrupted.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { ViaductError } from "../core/error.ts";
import { type Command, UsageError } from "./command.ts";
import { COMMANDS, SHARED_HELP, SHARED_OPTIONS } from "./command_list.ts";
import { loadSettings } from "./settings.ts";
import { Terminal } from "./terminal.ts";

/** Runs the command and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = name === undefined ? undefined : COMMANDS.get(name);
  if (command === undefined) {
    const isHelp = name === undefined || name === "--help" || name === "-h" || name === "help";
    process[isHelp ? "stdout" : "stderr"].write(isHelp ? overview() : `There is no command '${name}'\n\n${overview()}`);
    return isHelp ? 0 : 2;
  }
  const interruption = new AbortController();
  const onSignal = (): void => interruption.abort(new ViaductError("aborted"));
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  try {
    const { values, positionals } = parseArgs({
      args: rest,
      options: { ...SHARED_OPTIONS, ...command.options },
      allowPositionals: true,
    });
    if (values.help === true) {
      process.stdout.write(`${command.usage}\n\n${SHARED_HELP}\n`);
      return 0;
    }
    const settings = loadSettings(values);
    const terminal = new Terminal(settings.isJson);
    await command.run({ positionals, flags: values, settings, terminal, signal: interruption.signal });
    return 0;
  } catch (error) {
    return showFailure(error, command, rest.includes("--json"), interruption.signal);
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

function overview(): string {
  const lines = [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`);
  return `viaduct: connect to a node, not to an address\n\n${lines.join("\n")}\n\n${SHARED_HELP}\n`;
}

function showFailure(error: unknown, command: Command, isJson: boolean, signal: AbortSignal): number {
  const code = (error as { code?: unknown }).code;
  if (error instanceof UsageError || (typeof code === "string" && code.startsWith("ERR_PARSE_ARGS"))) {
    process.stderr.write(`${(error as Error).message}\n\n${command.usage}\n`);
    return 2;
  }
  if (signal.aborted) return 130;
  if (error instanceof ViaductError) {
    process.stderr.write(
      isJson
        ? `${JSON.stringify({ error: error.code, message: error.message })}\n`
        : `${error.message} [${error.code}]\n`,
    );
    return 1;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

process.exitCode = await main(process.argv.slice(2));
