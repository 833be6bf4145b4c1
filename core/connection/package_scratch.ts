/**
 * Where the package at hand is read, one for all sessions: an idle session keeps nothing for it.
 *
 * The invariant to hold: nothing in here outlives the call that fills it.
 *
 * @module
 */

import { Reader } from "../wire/reader.ts";
import type { AckFrame } from "./frame_parser.ts";
import { emptyAckFrame } from "./frame_parser.ts";
import type { ProtectedHeader } from "./package_protection.ts";
import { emptyProtectedHeader } from "./package_protection.ts";

export const READER: Reader = new Reader();
export const HEADER: ProtectedHeader = emptyProtectedHeader();
export const ACK: AckFrame = emptyAckFrame();
