/**
 * A room at one tick, beside the snapshot of its world: what its clients know of the state, who sees what, and who sits
 * where. With the snapshot and the entries and session records after it, a room is made again that its clients take for
 * the one they were in. Binary; the parts are written by those who own them.
 */
import { ByteReader, type ByteWriter } from '../kernel/bytes.ts';
import { RECORD_MAX_BYTES } from './journal.ts';

/** First byte of the record, which a JSON record never has, and its version: others are left alone. */
const CAPTURE = 1;
const VERSION = 1;

export interface RoomCapture {
  /** Tick to be stepped next. */
  readonly tick: number;
  /** Room time, and wall clock at that moment, ms. */
  readonly elapsedMs: number;
  readonly takenAtMs: number;
  /** What the room patched by. */
  readonly patchEveryTicks: number;
  /** JSON: seats, sessions, who played, how it came out. */
  readonly facts: Uint8Array;
  readonly interest: Uint8Array;
  readonly state: Uint8Array;
}

/** @returns whether it fits into one record of the journal */
export function writeRoomCapture(to: ByteWriter, capture: RoomCapture): boolean {
  to.u8(CAPTURE)
    .u8(VERSION)
    .varint(capture.tick)
    .varint(Math.floor(capture.elapsedMs))
    .varint(capture.takenAtMs)
    .varint(capture.patchEveryTicks)
    .blob(capture.facts)
    .blob(capture.interest)
    .blob(capture.state);
  return to.length <= RECORD_MAX_BYTES;
}

export function isRoomCapture(bytes: Uint8Array): boolean {
  return bytes[0] === CAPTURE && bytes[1] === VERSION;
}

/** @throws RangeError if the bytes are no capture of this version */
export function readRoomCapture(bytes: Uint8Array): RoomCapture {
  if (!isRoomCapture(bytes)) throw new RangeError('no capture of this version');
  const from = new ByteReader(bytes.subarray(2));
  const capture = {
    tick: from.varint(),
    elapsedMs: from.varint(),
    takenAtMs: from.varint(),
    patchEveryTicks: from.varint(),
    facts: from.blob(),
    interest: from.blob(),
    state: from.blob(),
  };
  if (from.remaining > 0) throw new RangeError('bytes follow its end');
  return capture;
}
