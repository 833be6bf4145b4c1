/**
 * The numbers of frames inside protected packages. They follow RFC 9000 §19 where the frame does. PROTOCOL §5.
 *
 * @module
 */

/** Nothing; fills a package. */
export const FRAME_PADDING = 0x00;
/** Asks for an acknowledgement. RFC 9000 §19.2. */
export const FRAME_PING = 0x01;
/** Acknowledges packages of one path. RFC 9000 §19.3, with the path id in front. */
export const FRAME_ACK = 0x02;
/** RFC 9000 §19.4. */
export const FRAME_RESET_STREAM = 0x04;
/** RFC 9000 §19.5. */
export const FRAME_STOP_SENDING = 0x05;
/** 0x08 to 0x0f. RFC 9000 §19.8. */
export const FRAME_STREAM = 0x08;
/** RFC 9000 §19.9 to §19.11. */
export const FRAME_MAX_DATA = 0x10;
export const FRAME_MAX_STREAM_DATA = 0x11;
export const FRAME_MAX_STREAMS_BIDIRECTIONAL = 0x12;
export const FRAME_MAX_STREAMS_UNIDIRECTIONAL = 0x13;
/** RFC 9000 §19.12 to §19.14: informative here. */
export const FRAME_DATA_BLOCKED = 0x14;
export const FRAME_STREAM_DATA_BLOCKED = 0x15;
export const FRAME_STREAMS_BLOCKED_BIDIRECTIONAL = 0x16;
export const FRAME_STREAMS_BLOCKED_UNIDIRECTIONAL = 0x17;
/** RFC 9000 §19.17 and §19.18; 8 bytes each. */
export const FRAME_PATH_CHALLENGE = 0x1a;
export const FRAME_PATH_RESPONSE = 0x1b;
/** Ends the session. RFC 9000 §19.19. */
export const FRAME_CLOSE = 0x1c;
/** A path is not used any more. draft-ietf-quic-multipath. */
export const FRAME_PATH_ABANDON = 0x20;
/** RFC 9221 §4; 0x31 has a length, 0x30 takes the rest of the package. */
export const FRAME_DATAGRAM = 0x30;
/** A datagram that can be repaired, or a parity; 0x33 if the same was sent before. PROTOCOL §5.5. */
export const FRAME_NUMBERED_DATAGRAM = 0x32;

/** Bits of a STREAM frame's type. RFC 9000 §19.8. */
export const STREAM_FIN_BIT = 0x01;
export const STREAM_LENGTH_BIT = 0x02;
export const STREAM_OFFSET_BIT = 0x04;

/** Bytes of PATH_CHALLENGE and PATH_RESPONSE data. */
export const CHALLENGE_BYTES = 8;
/** Bytes of a close reason that are sent or taken. */
export const REASON_BYTES_MAX = 256;
/** Ranges of one ACK frame. THREATS t-C6. */
export const ACK_RANGES_MAX = 256;
/** Ranges of received package numbers that are remembered for a path. THREATS t-C6. */
export const RECEIVED_RANGES_MAX = 64;
/** Datagrams of a group that one parity covers: a longer one repairs too late and too seldom. PROTOCOL §5.5. */
export const FEC_GROUP_MAX = 32;
