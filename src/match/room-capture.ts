/**
 * A room at one tick, in one record with the snapshot of its world: what its clients know of the state, who sees what, and who sits
 * where. With the snapshot and the entries and session records after it, a room is made again that its clients take for
 * the one they were in. Binary; the parts are written by those who own them.
 */
import { ByteReader, type ByteWriter } from '../kernel/bytes.ts';

/** First byte; others are left alone. */
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

export function writeRoomCapture(to: ByteWriter, capture: RoomCapture): void {
  to.u8(VERSION)
    .varint(capture.tick)
    .varint(Math.floor(capture.elapsedMs))
    .varint(capture.takenAtMs)
    .varint(capture.patchEveryTicks)
    .blob(capture.facts)
    .blob(capture.interest)
    .blob(capture.state);
}

/** @throws RangeError if the bytes are no capture of this version */
export function readRoomCapture(bytes: Uint8Array): RoomCapture {
  const from = new ByteReader(bytes);
  if (from.u8() !== VERSION) throw new RangeError('no capture of this version');
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
