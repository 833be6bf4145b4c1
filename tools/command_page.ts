/**
 * `docs/command.md`: what `--help` says of each command, and what all of them have in common.
 *
 * @module
 */

import { COMMANDS, SHARED_HELP } from "../cli/command_list.ts";

const OPENING = `# The command

Written from the help texts by \`npm run api\`, and held against them by a test. \`viaduct COMMAND --help\` says the
same.

A setting is a flag, else a variable of the environment, else an entry of the JSON file, else its default. The file is
\`config.json\` in the folder of the command unless \`--config\` or \`VIADUCT_CONFIG\` names another one:

\`\`\`json
{ "relays": ["wss://relay.example/"], "listen": ["tcp://0.0.0.0:4000"], "name": "workshop", "timeout": 10 }
\`\`\`

The folder is \`viaduct\` in \`$XDG_CONFIG_HOME\`, else in \`~/.config\`; \`VIADUCT_HOME\` is another one. The key is in
it, mode 0600, made when missing. One key is one node: of two commands that run at the same relay at the same time one
needs \`--key\` or \`--anonymous\`. A command whose target has the same key takes a fresh one by itself.

Results go to standard output, everything else to standard error. With \`--json\` both are one object per line:
\`{"note": …}\` and \`{"progress": …}\` on standard error beside what happened, \`{"error": code, "message": …}\` at
the end of a failure. The codes are those of [errors.md](errors.md).

| exit code | what it says                                                   |
| --------- | -------------------------------------------------------------- |
| 0         | done                                                           |
| 1         | failed; the last line says why, with the code of the error     |
| 2         | called wrongly; the usage is shown                             |
| 130       | interrupted by Ctrl+C or SIGTERM before it was done            |
`;

/** The whole page. */
export function commandPage(): string {
  const sections = [...COMMANDS].map(
    ([name, { summary, usage }]) =>
      `## viaduct ${name}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n\n\`\`\`text\n${usage.trim()}\n\`\`\`\n`,
  );
  return [OPENING, ...sections, `## Options of every command\n\n\`\`\`text\n${SHARED_HELP}\n\`\`\`\n`].join("\n");
}
