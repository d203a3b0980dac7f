/**
 * The shape of what clients send, checked before the framework decodes it. Its decoders trust lengths and counts that
 * stand in the frame: three bytes make one of them loop for ever, ten make another fill the memory. Whatever passes
 * here costs them no more than the frame is long. Knows the protocol, no room and no game.
 */
import { Protocol, ProtocolModifier } from '@colyseus/core';

/** Values in one another, counted in containers. */
export const MESSAGE_DEPTH_MAX = 16;
/** Name of a message, bytes. */
export const MESSAGE_TYPE_BYTES_MAX = 64;
/** Inputs that one frame of the unreliable kind repeats; the SDK's own number is 3. */
export const INPUT_SLOTS_MAX = 32;
/** Object shapes that one message may define; the SDK needs a second byte for more than 32. */
const SHAPES = 64;

/** Why a frame is refused; a closed set, fit for a label. `protocol` and `text` are for transports to find. */
export type FrameFault = 'protocol' | 'text' | 'empty' | 'code' | 'type' | 'message' | 'input';

/** Bytes of every field of an input, by field index; 0 for a number in the framework's own variable form. */
export type InputLayout = readonly number[];

const CODE_MASK = 0x1f;
/** Upper bits of a field's byte: a value for it, in one of the two ways the SDK writes. */
const FIELD_MASK = 0x3f;
const REPLACE = 0;
const ADD = 0x80;
const STRING_8 = 0xd9;
const STRING_16 = 0xda;
const STRING_32 = 0xdb;
/** MessagePack's extensions: the SDK writes objects as records, `undefined` and dates; nothing else may be asked for. */
const EXTENSION_RECORD = 0x72;
const EXTENSION_UNDEFINED = 0;
const EXTENSION_TIMESTAMP = 0xff;
/** Bytes of a number that begins with 0xca to 0xd3: floats, unsigned, signed. */
const NUMBER_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8] as const;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * What is wrong with a binary frame from a client, or undefined. Total over any bytes.
 *
 * Stamps of inputs are expected as a room wants them that rewinds what it has recorded (`allowRewindState` without
 * reckoned groups), which is what every `GameRoom` is.
 * @param layout of the room's inputs; without it their bodies are left to the framework, which writes a page of
 *   warnings to the console for each that it cannot read
 */
export function faultOf(frame: Uint8Array, layout?: InputLayout): FrameFault | undefined {
  if (frame.length === 0) return 'empty';
  const code = frame[0]! & CODE_MASK;
  const modifiers = frame[0]! - code;
  const mayBeTimed = code === Protocol.ROOM_INPUT_RELIABLE || code === Protocol.ROOM_INPUT_UNRELIABLE;
  if (modifiers !== 0 && !(mayBeTimed && modifiers === ProtocolModifier.TIMED)) return 'code';
  switch (code) {
    case Protocol.JOIN_ROOM:
    case Protocol.LEAVE_ROOM:
    case Protocol.PING:
      return undefined;
    case Protocol.ROOM_INPUT_RELIABLE: {
      const body = modifiers === 0 ? 1 : numberEnd(frame, 1);
      return body > 0 && isInput(frame, body, frame.length, layout) ? undefined : 'input';
    }
    case Protocol.ROOM_INPUT_UNRELIABLE:
      return isInputRing(frame, modifiers !== 0, layout) ? undefined : 'input';
    case Protocol.ROOM_DATA_BYTES:
      return typeEnd(frame, 1) > 0 ? undefined : 'type';
    case Protocol.ROOM_DATA:
      return messageFault(frame, 1);
    case Protocol.ROOM_REQUEST: {
      const id = numberAt(frame, 1);
      return Number.isInteger(id) && id >= 0 ? messageFault(frame, numberEnd(frame, 1)) : 'message';
    }
    default:
      return 'code';
  }
}

/** True for the kinds that a client sends before it has acknowledged its join. */
export function isBeforeJoin(frame: Uint8Array): boolean {
  return frame[0] === Protocol.PING || frame[0] === Protocol.LEAVE_ROOM;
}

export function isInputFrame(frame: Uint8Array): boolean {
  const kind = frame[0]! & CODE_MASK;
  return kind === Protocol.ROOM_INPUT_RELIABLE || kind === Protocol.ROOM_INPUT_UNRELIABLE;
}

export function isJoin(frame: Uint8Array): boolean {
  return frame[0] === Protocol.JOIN_ROOM;
}

/** Type and payload, to the end of the frame. */
function messageFault(frame: Uint8Array, at: number): FrameFault | undefined {
  const payload = typeEnd(frame, at);
  if (payload < 0) return 'type';
  return payload === frame.length || valueEnd(frame, payload) === frame.length ? undefined : 'message';
}

/** Where a message's type ends: a string, or a number; -1 if it is neither. */
function typeEnd(frame: Uint8Array, at: number): number {
  const first = frame[at] ?? 0;
  // A fixed length, or one in the next byte: what is named with more is refused for its length anyway.
  const isShort = first > 0xa0 && first < 0xc0;
  if (!isShort && first !== STRING_8) return first === STRING_16 || first === STRING_32 ? -1 : numberEnd(frame, at);
  const start = at + (isShort ? 1 : 2);
  const length = isShort ? first & 0x1f : (frame[at + 1] ?? 0);
  const end = start + length;
  if (end > frame.length || length > MESSAGE_TYPE_BYTES_MAX) return -1;
  try {
    UTF8.decode(frame.subarray(start, end));
  } catch {
    return -1;
  }
  return end;
}

/** `[k][u32 newest][k - 1 differences]` if timed, then `[first seq]` and k times `[length][body]`. */
function isInputRing(frame: Uint8Array, isTimed: boolean, layout: InputLayout | undefined): boolean {
  let at = 1;
  let stamps = -1;
  if (isTimed) {
    stamps = numberAt(frame, at);
    if (!Number.isInteger(stamps) || stamps < 1 || stamps > INPUT_SLOTS_MAX) return false;
    at = numberEnd(frame, at) + 4;
    for (let i = 1; i < stamps && at > 0; i++) at = numberEnd(frame, at);
    if (at < 0) return false;
  }
  const seq = numberAt(frame, at);
  if (!Number.isInteger(seq) || seq < 0 || seq > 0xffff_ffff) return false;
  at = numberEnd(frame, at);
  let slots = 0;
  while (at < frame.length) {
    const length = numberAt(frame, at);
    if (!Number.isInteger(length) || length < 0 || ++slots > INPUT_SLOTS_MAX) return false;
    const body = numberEnd(frame, at);
    at = body + length;
    if (at > frame.length || !isInput(frame, body, at, layout)) return false;
  }
  return at === frame.length && (!isTimed || slots === stamps);
}

/** Fields of an input, each with a value, up to `end`. */
function isInput(frame: Uint8Array, start: number, end: number, layout: InputLayout | undefined): boolean {
  if (layout === undefined) return true;
  let at = start;
  while (at < end) {
    const operation = frame[at]! & ~FIELD_MASK;
    const bytes = layout[frame[at]! & FIELD_MASK];
    if ((operation !== ADD && operation !== REPLACE) || bytes === undefined) return false;
    at = bytes > 0 ? at + 1 + bytes : numberEnd(frame, at + 1);
    if (at < 0) return false;
  }
  return at === end;
}

/** Where the number at `at` ends; -1 if there is none, or only a part of it. */
function numberEnd(frame: Uint8Array, at: number): number {
  const first = frame[at];
  if (first === undefined) return -1;
  if (first < 0x80 || first >= 0xe0) return at + 1;
  const bytes = NUMBER_BYTES[first - 0xca];
  return bytes === undefined || at + 1 + bytes > frame.length ? -1 : at + 1 + bytes;
}

/** A small or 32-bit integer, as lengths, counts and sequence numbers are written; NaN for anything else. */
function numberAt(frame: Uint8Array, at: number): number {
  if (numberEnd(frame, at) < 0) return Number.NaN;
  const first = frame[at]!;
  if (first < 0x80) return first;
  // Little-endian, unlike MessagePack's.
  if (first < 0xcc || first > 0xce) return Number.NaN;
  let value = 0;
  for (let i = 1 << (first - 0xcc); i > 0; i--) value = value * 256 + frame[at + i]!;
  return value;
}

/** Where the MessagePack value at `start` ends; -1 if it is none, is cut short, or is deeper than is allowed. */
function valueEnd(frame: Uint8Array, start: number): number {
  /** Values still to come, by container. */
  const left = new Uint32Array(MESSAGE_DEPTH_MAX + 1);
  const shapes = new Int32Array(SHAPES).fill(-1);
  let depth = 0;
  let at = start;
  left[0] = 1;
  while (depth >= 0) {
    if (left[depth] === 0) {
      depth--;
      continue;
    }
    left[depth]!--;
    const first = frame[at];
    if (first === undefined) return -1;
    let inside = 0;
    if (first >= 0x40 && first < 0x80 && shapes[first - 0x40]! >= 0) {
      inside = shapes[first - 0x40]!;
      at++;
    } else if (first >= 0x80 && first < 0xa0) {
      inside = first < 0x90 ? 2 * (first & 0x0f) : first & 0x0f;
      at++;
    } else if (first >= 0xdc && first <= 0xdf) {
      const head = first === 0xdc || first === 0xde ? 2 : 4;
      inside = (first < 0xde ? 1 : 2) * bigEndian(frame, at + 1, head);
      at += 1 + head;
    } else if (first === 0xd4 && frame[at + 1] === EXTENSION_RECORD) {
      const shape = (frame[at + 2] ?? 0) & 0x3f;
      const keys = frame[at + 3] ?? 0;
      at += 4;
      if (keys >= 0x90 && keys < 0xa0) inside = keys & 0x0f;
      else if (keys === 0xdc) {
        inside = bigEndian(frame, at, 2);
        at += 2;
      } else return -1;
      for (let i = 0; i < inside && at > 0; i++) at = stringEnd(frame, at);
      if (at < 0) return -1;
      shapes[shape] = inside;
    } else {
      at = scalarEnd(frame, at);
    }
    // Every value takes a byte at least.
    if (at < 0 || at + inside > frame.length) return -1;
    if (inside === 0) continue;
    if (depth === MESSAGE_DEPTH_MAX) return -1;
    left[++depth] = inside;
  }
  return at;
}

/** Where a value that contains no others ends; -1 if it is none. */
function scalarEnd(frame: Uint8Array, at: number): number {
  const first = frame[at]!;
  if (first < 0x80 || first >= 0xe0 || first === 0xc0 || first === 0xc2 || first === 0xc3) return at + 1;
  if ((first >= 0xa0 && first < 0xc0) || (first >= STRING_8 && first <= STRING_32)) return stringEnd(frame, at);
  let end = -1;
  if (first >= 0xc4 && first <= 0xc6) {
    const head = 1 << (first - 0xc4);
    end = at + 1 + head + bigEndian(frame, at + 1, head);
  } else if (first >= 0xca && first <= 0xd3) {
    end = numberEnd(frame, at);
  } else if (first === 0xd4 && frame[at + 1] === EXTENSION_UNDEFINED) {
    end = at + 3;
  } else if ((first === 0xd6 || first === 0xd7) && frame[at + 1] === EXTENSION_TIMESTAMP) {
    end = at + (first === 0xd6 ? 6 : 10);
  } else if (first === 0xc7 && frame[at + 1] === 12 && frame[at + 2] === EXTENSION_TIMESTAMP) {
    end = at + 15;
  }
  return end <= frame.length ? end : -1;
}

function stringEnd(frame: Uint8Array, at: number): number {
  const first = frame[at] ?? 0;
  let end = -1;
  if (first >= 0xa0 && first < 0xc0) end = at + 1 + (first & 0x1f);
  else if (first >= STRING_8 && first <= STRING_32) {
    const head = 1 << (first - STRING_8);
    end = at + 1 + head + bigEndian(frame, at + 1, head);
  }
  return end <= frame.length ? end : -1;
}

/** An unsigned integer; beyond the end of the frame counts as one that is larger than any frame. */
function bigEndian(frame: Uint8Array, at: number, bytes: number): number {
  if (at + bytes > frame.length) return Number.MAX_SAFE_INTEGER / 4;
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + frame[at + i]!;
  return value;
}
