/**
 * Writes a trace as qlog: JSON text sequences (RFC 7464), media type `application/qlog+json-seq`, one session to a
 * file. draft-ietf-quic-qlog-main-schema and draft-ietf-quic-qlog-quic-events, in two versions: 0.3, which qvis reads,
 * and the latest draft, whose events have other names.
 *
 * The invariant to hold: what is written validates against the schema of its version; what qlog has no field for is
 * left out or said in an event that is for text. A package is a 1-RTT packet of QUIC here.
 *
 * @module
 */

import { ERRORS, type ErrorCode } from "../error.ts";
import type { Instant } from "../machine.ts";
import { type Json, type JsonObject, type QlogVersion, qlogFrame, roundMs, UINT32_MAX } from "./qlog_frames.ts";
import type { PathId, Role } from "./session_types.ts";
import type { TraceEvent, TraceMetrics } from "./trace.ts";

export type { QlogVersion } from "./qlog_frames.ts";

/** RFC 7464 §2.2: each text begins with a record separator and ends with a line feed. */
const RECORD_SEPARATOR = "\u001e";
const PACKET_TYPE = "1RTT";

/** Names of errors that QUIC has as well. RFC 9000 §20.1. */
const TRANSPORT_ERRORS: Readonly<Partial<Record<ErrorCode, string>>> = {
  closed: "no_error",
  internal: "internal_error",
  refused: "connection_refused",
  flow_control: "flow_control_error",
  stream_limit: "stream_limit_error",
  stream_state: "stream_state_error",
  final_size: "final_size_error",
  frame_encoding: "frame_encoding_error",
  protocol_violation: "protocol_violation",
};

const STATES = { slowStart: "slow_start", congestionAvoidance: "congestion_avoidance", recovery: "recovery" } as const;

/** Names of events in 0.3 and in the latest draft. */
const NAMES: Readonly<Record<TraceEvent["type"], readonly [old: string, latest: string]>> = {
  sessionStarted: ["connectivity:connection_started", "quic:connection_started"],
  sessionClosed: ["connectivity:connection_closed", "quic:connection_closed"],
  packageSent: ["transport:packet_sent", "quic:packet_sent"],
  packageReceived: ["transport:packet_received", "quic:packet_received"],
  packageDropped: ["transport:packet_dropped", "quic:packet_dropped"],
  packageLost: ["recovery:packet_lost", "quic:packet_lost"],
  metricsUpdated: ["recovery:metrics_updated", "quic:recovery_metrics_updated"],
  congestionState: ["recovery:congestion_state_updated", "quic:congestion_state_updated"],
  // Paths came to qlog after 0.3.
  pathAssigned: ["generic:info", "quic:tuple_assigned"],
  pathValidated: ["generic:info", "quic:migration_state_updated"],
  pathAbandoned: ["generic:info", "quic:tuple_assigned"],
  mtuUpdated: ["connectivity:mtu_updated", "quic:mtu_updated"],
  keyUpdated: ["security:key_updated", "quic:key_updated"],
  timer: ["recovery:loss_timer_updated", "quic:timer_updated"],
};

/** How a trace is written. */
export interface QlogOptions {
  /** Which side the session is seen from. */
  readonly role: Role;
  /** `0.3`, so that qvis reads it, unless told otherwise. */
  readonly version?: QlogVersion;
  readonly title?: string;
  /** The time of day of the first event. */
  readonly startedAt?: { readonly unixMs: number; readonly rfc3339: string };
}

/** Writes the records of one session. */
export class QlogEncoder {
  readonly #options: QlogOptions;
  readonly #isOld: boolean;
  /** When the first event was: times are told from there. */
  #originAt: Instant | undefined;

  constructor(options: QlogOptions) {
    this.#options = options;
    this.#isOld = (options.version ?? "0.3") === "0.3";
  }

  /** The first record of a file. */
  header(): string {
    const { role, title = "Viaduct session", startedAt } = this.#options;
    const vantage_point = { name: "viaduct", type: role === "initiator" ? "client" : "server" };
    if (this.#isOld) {
      const common_fields = {
        time_format: "relative",
        reference_time: startedAt?.unixMs ?? 0,
        protocol_type: ["VIADUCT"],
      };
      return record({ qlog_version: "0.3", qlog_format: "JSON-SEQ", title, trace: { vantage_point, common_fields } });
    }
    const clock: JsonObject = { clock_type: "monotonic", epoch: "unknown", wall_clock_time: startedAt?.rfc3339 };
    return record({
      file_schema: "urn:ietf:params:qlog:file:sequential",
      serialization_format: "application/qlog+json-seq",
      title,
      trace: {
        vantage_point,
        common_fields: { time_format: "relative_to_epoch", reference_time: clock },
        event_schemas: ["urn:ietf:params:qlog:events:quic-13"],
      },
    });
  }

  /** The record of an event. */
  encode(event: TraceEvent): string {
    this.#originAt ??= event.at;
    const path = "path" in event ? event.path : 0;
    return record({
      time: roundMs(event.at - this.#originAt),
      name: NAMES[event.type][this.#isOld ? 0 : 1],
      data: this.#isOld ? oldData(event, this.#options.role) : latestData(event, this.#options.role),
      // Each path numbers its packages by itself: in 0.3 only a group keeps them apart.
      ...(this.#isOld ? { group_id: `path ${path}` } : { tuple: path === 0 ? undefined : tupleId(path) }),
    });
  }
}

/** Data as in quic-events-04. */
function oldData(event: TraceEvent, role: Role): JsonObject {
  switch (event.type) {
    case "sessionStarted": {
      const { host, port } = endpointOf(event.remote);
      return {
        src_ip: "unknown",
        dst_ip: host,
        protocol: "VIADUCT",
        dst_port: port,
        src_cid: hex32(event.localConnectionId),
        dst_cid: hex32(event.remoteConnectionId),
      };
    }
    case "sessionClosed":
      return {
        owner: event.isRemote ? "remote" : "local",
        connection_code: event.applicationCode === undefined ? TRANSPORT_ERRORS[event.code] : undefined,
        application_code: (event.applicationCode ?? 0) > UINT32_MAX ? undefined : event.applicationCode,
        internal_code: ERRORS[event.code].wire,
        reason: event.code,
        trigger: closeTrigger(event.code, event.applicationCode, true),
      };
    case "packageDropped":
      return { raw: { length: event.bytes }, ...dropCause(event.reason, true) };
    case "pathAssigned":
      return { message: `path ${event.path} assigned: ${event.kind} ${event.remote}` };
    case "pathValidated":
      return { message: `path ${event.path} validated` };
    case "pathAbandoned":
      return { message: `path ${event.path} abandoned` };
    case "keyUpdated": {
      const { generation } = event;
      // -04 wants the key: an empty one, as no trace may hold it.
      return { key_type: keyType(event.direction, role), new: "", generation, trigger: keyTrigger(event.direction) };
    }
    case "timer":
      return { ...timer(event), packet_number_space: "application_data" };
    default:
      return sharedData(event, "0.3");
  }
}

/** Data as in quic-events-13. */
function latestData(event: TraceEvent, role: Role): JsonObject {
  switch (event.type) {
    case "sessionStarted":
      return {
        local: { connection_ids: [hex32(event.localConnectionId)] },
        remote: { ...tupleEndpoint(event.remote), connection_ids: [hex32(event.remoteConnectionId)] },
      };
    case "sessionClosed": {
      const wire = ERRORS[event.code].wire;
      const known = TRANSPORT_ERRORS[event.code];
      const isApplication = event.applicationCode !== undefined;
      return {
        initiator: event.isRemote ? "remote" : "local",
        connection_error: isApplication ? undefined : (known ?? "unknown"),
        application_error: isApplication ? "unknown" : undefined,
        error_code: event.applicationCode ?? (known === undefined ? wire : undefined),
        internal_code: wire,
        reason: event.code,
        trigger: closeTrigger(event.code, event.applicationCode, false),
      };
    }
    case "packageDropped":
      return { raw: { length: event.bytes }, ...dropCause(event.reason, false) };
    case "pathAssigned":
      return { tuple_id: tupleId(event.path), tuple_remote: tupleEndpoint(event.remote) };
    case "pathValidated":
      return { new: "probing_successful", tuple_id: tupleId(event.path) };
    case "pathAbandoned":
      return { tuple_id: tupleId(event.path) };
    case "keyUpdated": {
      const { generation: key_phase } = event;
      return { key_type: keyType(event.direction, role), key_phase, trigger: keyTrigger(event.direction) };
    }
    case "timer":
      return { ...timer(event), packet_number_space: "application_data" };
    default:
      return sharedData(event, "quic-13");
  }
}

/** Data of the events that have the same fields in both versions, but for their frames. */
function sharedData(
  event: Extract<
    TraceEvent,
    {
      type: "packageSent" | "packageReceived" | "packageLost" | "metricsUpdated" | "congestionState" | "mtuUpdated";
    }
  >,
  version: QlogVersion,
): JsonObject {
  switch (event.type) {
    case "packageSent":
    case "packageReceived": {
      const { number, bytes, frames } = event.package;
      const isSent = event.type === "packageSent";
      return {
        header: { packet_type: PACKET_TYPE, packet_number: number },
        raw: { length: bytes },
        frames: frames.map((frame) => qlogFrame(frame, version)),
        is_mtu_probe_packet: isSent && event.isMtuProbe ? true : undefined,
        trigger: isSent && event.isProbe ? "pto_probe" : undefined,
      };
    }
    case "packageLost":
      return {
        header: { packet_type: PACKET_TYPE, packet_number: event.number },
        is_mtu_probe_packet: event.isMtuProbe ? true : undefined,
        trigger: event.cause === "reordering" ? "reordering_threshold" : "time_threshold",
      };
    case "metricsUpdated":
      return metrics(event.metrics);
    case "congestionState":
      return { old: event.from && STATES[event.from], new: STATES[event.to] };
    case "mtuUpdated":
      return { old: event.from, new: event.to };
  }
}

function metrics(from: TraceMetrics): JsonObject {
  const ms = (value: number | undefined): number | undefined => value && roundMs(value);
  const whole = (value: number | undefined): number | undefined =>
    value !== undefined && Number.isFinite(value) ? Math.round(value) : undefined;
  const { pacingBytesPerMs } = from;
  return {
    min_rtt: ms(from.leastRttMs),
    smoothed_rtt: ms(from.smoothedRttMs),
    latest_rtt: ms(from.latestRttMs),
    rtt_variance: ms(from.rttVarianceMs),
    pto_count: from.probeTimeouts,
    congestion_window: whole(from.windowBytes),
    bytes_in_flight: from.bytesInFlight,
    ssthresh: whole(from.slowStartThreshold),
    packets_in_flight: from.packagesInFlight,
    // In bits per second; 0 is none yet.
    pacing_rate: pacingBytesPerMs === 0 ? undefined : whole(pacingBytesPerMs && pacingBytesPerMs * 8_000),
  };
}

function closeTrigger(code: ErrorCode, applicationCode: number | undefined, isOld: boolean): string {
  if (code === "idle_timeout") return "idle_timeout";
  if (code === "session_lost") return "stateless_reset";
  if (applicationCode !== undefined) return "application";
  if (code === "closed") return isOld ? "clean" : "application";
  return "error";
}

function dropCause(reason: Extract<TraceEvent, { type: "packageDropped" }>["reason"], isOld: boolean): JsonObject {
  switch (reason) {
    case "duplicate":
      return isOld ? { trigger: "general", details: { reason } } : { trigger: "duplicate" };
    case "pathRefused":
      return { trigger: "rejected", details: { reason } };
    case "notAuthentic":
      return { trigger: "decryption_failure" };
    case "invalid":
      return { trigger: "invalid" };
  }
}

function timer(event: Extract<TraceEvent, { type: "timer" }>): JsonObject {
  const { timer, change, inMs } = event;
  const delta = inMs === undefined ? undefined : roundMs(inMs);
  return { timer_type: timer === "loss" ? "ack" : "pto", event_type: change, delta };
}

function keyType(direction: "send" | "receive", role: Role): string {
  const isClient = (role === "initiator") === (direction === "send");
  return isClient ? "client_1rtt_secret" : "server_1rtt_secret";
}

function keyTrigger(direction: "send" | "receive"): string {
  return direction === "send" ? "local_update" : "remote_update";
}

/** The path of the handshake is the tuple without a name. quic-events-13, section "tuple_assigned". */
function tupleId(path: PathId): string {
  return path === 0 ? "" : String(path);
}

/** Host and port of `scheme://host:port…`; what is none, such as a relay's short id, is told whole. */
function endpointOf(remote: string): { host: string; port: number | undefined } {
  const match = /^[a-z]+:\/\/(?:\[([^\]]+)\]|([^:/[\]]+)):(\d{1,5})(?:\/|$)/.exec(remote);
  if (match === null) return { host: remote, port: undefined };
  return { host: (match[1] ?? match[2]) as string, port: Number(match[3]) };
}

function tupleEndpoint(remote: string): JsonObject {
  const { host, port } = endpointOf(remote);
  if (port === undefined) return {};
  return host.includes(":") ? { ip_v6: host, port_v6: port } : { ip_v4: host, port_v4: port };
}

function hex32(number: number): string {
  return number.toString(16).padStart(8, "0");
}

function record(value: { readonly [name: string]: Json | undefined }): string {
  return `${RECORD_SEPARATOR}${JSON.stringify(value)}\n`;
}
