/**
 * What qlog allows: fields, types and choices of the events that are written here, by main-schema-04 with
 * quic-events-04 (`0.3`) and by main-schema-14 with quic-events-13 (`quic-13`). Stricter than the drafts, which let
 * anybody add fields: a field that they do not name is a finding.
 *
 * @module
 */

/** Says what is wrong with a value, with the way to it. */
type Check = (value: unknown, at: string) => string[];
type Fields = Readonly<Record<string, Check>>;
type Version = "0.3" | "quic-13";

function that(name: string, isRight: (value: unknown) => boolean): Check {
  return (value, at) => (isRight(value) ? [] : [`${at} is no ${name}: ${JSON.stringify(value)}`]);
}

function uint(bits: number): Check {
  const most = Math.min(2 ** bits - 1, Number.MAX_SAFE_INTEGER);
  return that(`uint${bits}`, (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most);
}

function choice(...values: readonly string[]): Check {
  return that(`choice of ${values.join(", ")}`, (value) => typeof value === "string" && values.includes(value));
}

function list(of: Check, least = 0): Check {
  return (value, at) => {
    if (!Array.isArray(value) || value.length < least) return [`${at} is no list of ${least} or more`];
    return value.flatMap((item, index) => of(item, `${at}[${index}]`));
  };
}

function either(...checks: readonly Check[]): Check {
  return (value, at) => {
    const findings = checks.map((check) => check(value, at));
    return findings.some((found) => found.length === 0) ? [] : (findings[0] ?? []);
  };
}

/** An object that has all of `must`, and of anything else only `may`. */
function object(must: Fields, may: Fields = {}): Check {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${at} is no object`];
    const findings = Object.keys(must)
      .filter((name) => !Object.hasOwn(value, name))
      .map((name) => `${at}.${name} is missing`);
    for (const [name, item] of Object.entries(value)) {
      const check = must[name] ?? may[name];
      findings.push(...(check === undefined ? [`${at}.${name} is not in the schema`] : check(item, `${at}.${name}`)));
    }
    return findings;
  };
}

const text = that("text", (value) => typeof value === "string");
const bool = that("bool", (value) => typeof value === "boolean");
const float = that("number", (value) => Number.isFinite(value));
const hex = that("hexstring", (value) => typeof value === "string" && /^(?:[0-9a-f]{2})*$/.test(value));
const instant = that("RFC 3339 time", (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(String(value)));
const anything: Check = () => [];
const details: Check = (value, at) => (typeof value === "object" ? [] : [`${at} is no object`]);

/** No content of packages: sizes only. */
const raw = object({}, { length: uint(64), payload_length: uint(64) });
const header = object({ packet_type: choice("1RTT"), packet_number: uint(64) });
const streamType = choice("unidirectional", "bidirectional");
const transportErrors = [
  ...["no_error", "internal_error", "connection_refused", "flow_control_error", "stream_limit_error"],
  ...["stream_state_error", "final_size_error", "frame_encoding_error", "transport_parameter_error"],
  ...["connection_id_limit_error", "protocol_violation", "invalid_token", "application_error"],
  ...["crypto_buffer_exceeded", "key_update_error", "aead_limit_reached", "no_viable_path"],
];

const ackFields: Fields = { ack_delay: float, acked_ranges: list(list(uint(64), 1), 1) };
const space = choice("transport", "application");
const limit = { limit: uint(64) };
const maximum = { maximum: uint(64) };
const stream = { stream_id: uint(64) };

/** Of a frame, besides `frame_type`. */
const OLD_FRAMES: Readonly<Record<string, readonly [must: Fields, may?: Fields]>> = {
  padding: [{ payload_length: uint(32) }],
  ping: [{}],
  ack: [{}, ackFields],
  stream: [{ ...stream, offset: uint(64), length: uint(64) }, { fin: bool }],
  reset_stream: [{ ...stream, error_code: either(uint(32), choice("unknown")), final_size: uint(64) }],
  stop_sending: [{ ...stream, error_code: either(uint(32), choice("unknown")) }],
  max_data: [maximum],
  max_stream_data: [{ ...stream, ...maximum }],
  max_streams: [{ stream_type: streamType, ...maximum }],
  data_blocked: [limit],
  stream_data_blocked: [{ ...stream, ...limit }],
  streams_blocked: [{ stream_type: streamType, ...limit }],
  path_challenge: [{}],
  path_response: [{}],
  connection_close: [
    {},
    { error_space: space, error_code: either(uint(32), choice(...transportErrors)), error_code_value: uint(64) },
  ],
  unknown: [{ frame_type_value: uint(64) }],
  // Not in -04, whose frames are any map: named as in the younger ones.
  datagram: [{ length: uint(64) }],
};

const applicationError = { error: choice("unknown") };
const errorCode = { error_code: uint(64) };
const LATEST_FRAMES: typeof OLD_FRAMES = {
  padding: [{}, { raw }],
  ping: [{}],
  ack: [{}, ackFields],
  stream: [stream, { offset: uint(64), fin: bool, raw }],
  datagram: [{}, { raw }],
  reset_stream: [{ ...stream, ...applicationError, final_size: uint(64) }, errorCode],
  stop_sending: [{ ...stream, ...applicationError }, errorCode],
  max_data: [maximum],
  max_stream_data: [{ ...stream, ...maximum }],
  max_streams: [{ stream_type: streamType, ...maximum }],
  data_blocked: [limit],
  stream_data_blocked: [{ ...stream, ...limit }],
  streams_blocked: [{ stream_type: streamType, ...limit }],
  path_challenge: [{}],
  path_response: [{}],
  connection_close: [{}, { error_space: space, error: choice(...transportErrors, "unknown"), ...errorCode }],
  unknown: [{ frame_type_bytes: uint(64) }],
};

function frame(frames: typeof OLD_FRAMES): Check {
  return (value, at) => {
    const { frame_type: type } = Object(value) as { frame_type?: unknown };
    const fields = frames[String(type)];
    if (fields === undefined) return [`${at} is no frame: ${JSON.stringify(value)}`];
    return object({ frame_type: text, ...fields[0] }, fields[1])(value, at);
  };
}

const metrics = object(
  {},
  {
    ...{ min_rtt: float, smoothed_rtt: float, latest_rtt: float, rtt_variance: float, pto_count: uint(16) },
    ...{ congestion_window: uint(64), bytes_in_flight: uint(64), ssthresh: uint(64) },
    ...{ packets_in_flight: uint(64), pacing_rate: uint(64) },
  },
);
const lost = object(
  {},
  { header, is_mtu_probe_packet: bool, trigger: choice("reordering_threshold", "time_threshold", "pto_expired") },
);
const sentMay = { raw, is_mtu_probe_packet: bool, trigger: choice("pto_probe") };
const timerMay = { packet_number_space: choice("application_data"), delta: float };
const timerChange = { event_type: choice("set", "expired", "cancelled") };
const keyType = { key_type: choice("client_1rtt_secret", "server_1rtt_secret") };
const keyTrigger = { trigger: choice("remote_update", "local_update") };
const congestionState = object({ new: text }, { old: text });

const OLD_EVENTS: Fields = {
  "connectivity:connection_started": object(
    { src_ip: text, dst_ip: text },
    { protocol: text, src_port: uint(16), dst_port: uint(16), src_cid: hex, dst_cid: hex },
  ),
  "connectivity:connection_closed": object(
    {},
    {
      owner: choice("local", "remote"),
      connection_code: either(choice(...transportErrors), uint(32)),
      application_code: uint(32),
      internal_code: uint(32),
      reason: text,
      trigger: choice("clean", "idle_timeout", "error", "stateless_reset", "application"),
    },
  ),
  "connectivity:mtu_updated": object({ new: uint(16) }, { old: uint(16), done: bool }),
  "transport:packet_sent": object({ header }, { frames: list(frame(OLD_FRAMES)), ...sentMay }),
  "transport:packet_received": object({ header }, { frames: list(frame(OLD_FRAMES)), raw }),
  "transport:packet_dropped": object(
    {},
    { raw, details, trigger: choice("rejected", "invalid", "decryption_failure", "general") },
  ),
  // A key in a trace would be the end of it: only the empty one.
  "security:key_updated": object({ ...keyType, new: choice("") }, { generation: uint(32), ...keyTrigger }),
  "recovery:metrics_updated": metrics,
  "recovery:congestion_state_updated": congestionState,
  "recovery:loss_timer_updated": object(timerChange, { timer_type: choice("ack", "pto"), ...timerMay }),
  "recovery:packet_lost": lost,
  "generic:info": object({ message: text }),
};

const endpoint = object(
  {},
  { ip_v4: text, port_v4: uint(16), ip_v6: text, port_v6: uint(16), connection_ids: list(hex, 1) },
);
const LATEST_EVENTS: Fields = {
  "quic:connection_started": object({ local: endpoint, remote: endpoint }),
  "quic:connection_closed": object(
    {},
    {
      initiator: choice("local", "remote"),
      connection_error: choice(...transportErrors, "unknown"),
      application_error: choice("unknown"),
      error_code: uint(64),
      internal_code: uint(64),
      reason: text,
      trigger: choice("idle_timeout", "application", "error", "stateless_reset"),
    },
  ),
  "quic:tuple_assigned": object({ tuple_id: text }, { tuple_remote: endpoint }),
  "quic:migration_state_updated": object({ new: choice("probing_successful") }, { tuple_id: text }),
  "quic:mtu_updated": object({ new: uint(32) }, { old: uint(32), done: bool }),
  "quic:packet_sent": object({ header }, { frames: list(frame(LATEST_FRAMES)), ...sentMay }),
  "quic:packet_received": object({ header }, { frames: list(frame(LATEST_FRAMES)), raw }),
  "quic:packet_dropped": object(
    {},
    { raw, details, trigger: choice("rejected", "invalid", "duplicate", "decryption_failure") },
  ),
  "quic:packet_lost": lost,
  "quic:key_updated": object(keyType, { key_phase: uint(64), ...keyTrigger }),
  "quic:recovery_metrics_updated": metrics,
  "quic:congestion_state_updated": congestionState,
  "quic:timer_updated": object(timerChange, { timer_type: choice("ack", "pto", "loss_timeout"), ...timerMay }),
};

const vantagePoint = object({ type: choice("client", "server") }, { name: text });
const HEADERS: Readonly<Record<Version, Check>> = {
  "0.3": object(
    {
      qlog_version: choice("0.3"),
      qlog_format: choice("JSON-SEQ"),
      trace: object(
        {},
        {
          vantage_point: vantagePoint,
          common_fields: object(
            {},
            { time_format: choice("relative"), reference_time: float, protocol_type: list(text, 1) },
          ),
        },
      ),
    },
    { title: text, description: text },
  ),
  "quic-13": object(
    {
      file_schema: choice("urn:ietf:params:qlog:file:sequential"),
      serialization_format: choice("application/qlog+json-seq"),
      trace: object(
        { event_schemas: list(text, 1) },
        {
          vantage_point: vantagePoint,
          common_fields: object(
            {},
            {
              time_format: choice("relative_to_epoch"),
              reference_time: object(
                { clock_type: choice("monotonic"), epoch: choice("unknown") },
                { wall_clock_time: instant },
              ),
            },
          ),
        },
      ),
    },
    { title: text, description: text },
  ),
};
const RECORD_MAY: Readonly<Record<Version, Fields>> = { "0.3": { group_id: text }, "quic-13": { tuple: text } };

/** A record of an event. */
export interface QlogRecord {
  readonly time: number;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly group_id?: string;
  readonly tuple?: string;
}

/** The events of a file, and what is wrong with it. */
export function readQlog(file: string, version: Version): { events: QlogRecord[]; findings: string[] } {
  const findings: string[] = [];
  const records: unknown[] = [];
  // RFC 7464 §2.2. A line feed or a separator within a text is escaped by JSON.
  for (const text of file.split("\u001e").slice(1)) {
    if (!text.endsWith("\n") || text.slice(0, -1).includes("\n")) findings.push(`No record: ${text.slice(0, 80)}`);
    records.push(JSON.parse(text));
  }
  if (!file.startsWith("\u001e")) findings.push("The file begins with no record separator");
  findings.push(...HEADERS[version](records.shift(), "header"));
  const events = records as QlogRecord[];
  const known = version === "0.3" ? OLD_EVENTS : LATEST_EVENTS;
  let last = 0;
  for (const [index, event] of events.entries()) {
    const at = `${index} ${event.name}`;
    const shape = object({ time: float, name: choice(...Object.keys(known)), data: anything }, RECORD_MAY[version]);
    findings.push(...shape(event, at), ...(known[event.name]?.(event.data, `${at}.data`) ?? []));
    if (event.time < last) findings.push(`${at} is before the last one`);
    last = event.time;
  }
  return { events, findings };
}
