/**
 * Protocols that the command and the demo speak, ready to be served by any node.
 *
 * @module
 */

export * from "./chat.ts";
export * from "./echo.ts";
export * from "./file.ts";
