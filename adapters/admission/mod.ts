/**
 * `viaduct/admission`: what an operator needs to hand out admissions, the signed texts that let nodes in at relays. The
 * same in every runtime; nothing of it is in the main entry point, as nodes only pass such a text on.
 *
 * @module
 */

export type { NodeId } from "../../core/crypto/identity.ts";
export type {
  AdmissionPolicy,
  AdmissionPolicyGrant,
  AdmissionPolicyRule,
} from "../../core/relay/admission_policy_file.ts";
export type {
  AdmissionClaims,
  AdmissionRates,
  AdmissionStanding,
  NodeType,
  VoidReason,
} from "../../core/relay/admission_token.ts";
export type { Revocation } from "../../core/relay/revocation_list.ts";
export { RevocationList } from "../../core/relay/revocation_list.ts";
export { type ManagementOptions, managementOf } from "./management.ts";
export { MANAGEMENT_OPENAPI } from "./openapi.ts";
export {
  createOperatorKey,
  dangerousReadAdmission,
  type IssuedAdmission,
  type IssueOptions,
  issueAdmission,
  type OperatorKey,
  readOperatorKey,
  readRevocationList,
  verifyAdmission,
} from "./operator.ts";
