/**
 * Makes a congestion controller by its name.
 *
 * @module
 */

import type { CongestionName } from "../session_types.ts";
import type { CongestionController } from "./congestion_controller.ts";
import { Cubic } from "./cubic.ts";
import { NewReno } from "./new_reno.ts";

/** Makes a congestion controller. */
export function createCongestionController(
  name: CongestionName,
  options: { readonly packageBytes: number },
): CongestionController {
  return name === "cubic" ? new Cubic(options) : new NewReno(options);
}
