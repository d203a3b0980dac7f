/** What one client asks for in one input frame, and its five bytes. */
import type { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import type { MoveIntent } from './body.ts';

/** One sanitised input frame. Out-of-range numbers are clamped by the rules, never refused. */
export interface ArenaIntent extends MoveIntent {
  /**
   * How long before the end of the previous tick the shooter saw the others, in 1/8 ticks, 0 to 120
   * (500 ms). 0 judges a shot by where they stood at the end of the previous tick.
   */
  readonly rewind: number;
}

/** Bytes of one intent: i8 moveX, i8 moveY, u8 aim, u8 buttons, u8 rewind. */
export function writeIntent(to: ByteWriter, intent: ArenaIntent): void {
  to.i8(intent.moveX).i8(intent.moveY).u8(intent.aim).u8(intent.buttons).u8(intent.rewind);
}

/** Any five bytes are an intent. @throws RangeError past the end */
export function readIntent(from: ByteReader): ArenaIntent {
  return { moveX: from.i8(), moveY: from.i8(), aim: from.u8(), buttons: from.u8(), rewind: from.u8() };
}
