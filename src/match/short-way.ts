/**
 * The short way between sockets and the match: frames are handed over before anybody else sees them, and taken as they
 * go on the wire. src/fast-socket.ts is the socket that has it.
 */

import type { FrameHold } from './hold-back.ts';

/** Reads frames of one client straight from the bytes that came in. */
export interface FrameTap {
  /**
   * A whole frame, unmasked, at `bytes[start .. end)`. The bytes are the reader's during the call only.
   * @returns whether it was taken; if not, the frame goes the framework's way
   */
  take(bytes: Uint8Array, start: number, end: number): boolean;
}

export interface ShortWay {
  /** False where every byte takes the framework's way; then there are neither taps nor whole frames. */
  readonly isShort: boolean;
  /** Asked for every whole binary frame. */
  tap: FrameTap | undefined;
  /** Asked before anything leaves, on the framework's way too; pings and the socket's end by force pass. */
  hold: FrameHold | undefined;
  /** Sends bytes that begin with {@link writeHead}'s; they are the socket's from now on. */
  sendWhole(frame: Uint8Array): void;
}

const FINAL_BINARY = 0x82;
const LENGTH_16 = 126;

/** Longest payload that {@link writeHead} can announce. */
export const WHOLE_PAYLOAD_MAX = 0xffff;

/** Bytes before a payload of that length. */
export function headBytesOf(payloadBytes: number): number {
  return payloadBytes < LENGTH_16 ? 2 : 4;
}

/** Begins a WebSocket frame, binary and unmasked, as servers send it. */
export function writeHead(frame: Uint8Array, payloadBytes: number): void {
  frame[0] = FINAL_BINARY;
  if (payloadBytes < LENGTH_16) {
    frame[1] = payloadBytes;
  } else {
    frame[1] = LENGTH_16;
    frame[2] = payloadBytes >> 8;
    frame[3] = payloadBytes & 0xff;
  }
}
