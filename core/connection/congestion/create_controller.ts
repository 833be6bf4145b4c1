/**
 * Makes a congestion controller by its name.
 *
 * @module
 */

import type { CongestionController } from "./congestion_controller.ts";
import { NewReno } from "./new_reno.ts";

/** Makes a congestion controller. */
export function createCongestionController(
  _name: CongestionController["name"],
  options: { readonly packageBytes: number },
): CongestionController {
  return new NewReno(options);
}
