/**
 * What a wandering, shooting player does, decided in advance by a seed: the same load in every run, at no cost while
 * the load is on.
 */
import { InputEncoder } from '@colyseus/schema/input';
import { ArenaInput, BUTTONS } from '../../schema/arena-input.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';

/** One frame's wish; ranges as in schema/arena-input.ts. */
export interface TrackStep {
  readonly moveX: number;
  readonly moveY: number;
  readonly aim: number;
  readonly buttons: number;
}

/**
 * `length` frames of somebody who walks in straight legs of 15 to 60 frames, sweeps the aim, fires the rifle in
 * bursts and now and then a rocket, and dashes.
 */
export function wander(seed: number, length: number): TrackStep[] {
  const rng = new Int32Array(4);
  seedSfc32(rng, 0, seed);
  const steps: TrackStep[] = [];
  let legLeft = 0;
  let burstLeft = 0;
  let moveX = 0;
  let moveY = 0;
  let aim = nextBelow(rng, 0, 256);
  let sweep = 0;
  while (steps.length < length) {
    if (legLeft-- <= 0) {
      legLeft = 15 + nextBelow(rng, 0, 46);
      moveX = nextBelow(rng, 0, 255) - 127;
      // The longer axis at full deflection: somebody on a keyboard does not stroll.
      moveY = nextBelow(rng, 0, 2) === 0 ? 127 : -127;
      if (nextBelow(rng, 0, 2) === 0) [moveX, moveY] = [moveY, moveX];
      sweep = nextBelow(rng, 0, 13) - 6;
    }
    if (burstLeft > 0) burstLeft--;
    else if (nextBelow(rng, 0, 40) === 0) burstLeft = 8 + nextBelow(rng, 0, 12);
    aim = (aim + sweep + nextBelow(rng, 0, 5) - 2 + 256) % 256;
    let buttons = burstLeft > 0 ? BUTTONS.FIRE : 0;
    if (nextBelow(rng, 0, 150) === 0) buttons |= BUTTONS.ROCKET;
    if (nextBelow(rng, 0, 120) === 0) buttons |= BUTTONS.DASH;
    steps.push({ moveX, moveY, aim, buttons });
  }
  return steps;
}

/**
 * The steps as the SDK would send them: only what changed since the frame before, the first one whole, so that a
 * client may go round and round. Bytes after the protocol byte and the stamp.
 */
export function encodeTrack(steps: readonly TrackStep[]): Uint8Array[] {
  const input = new ArenaInput();
  const encoder = new InputEncoder(input);
  return steps.map((step, i) => {
    input.assign({ ...step });
    if (i === 0) encoder.reset();
    return encoder.encode().slice();
  });
}

/**
 * The steps as `room.send('input', { moveX, moveY, aim, buttons })` would send them: type string and MessagePack map.
 * Bytes after the protocol byte.
 */
export function encodeTrackAsMessages(steps: readonly TrackStep[]): Uint8Array[] {
  return steps.map((step) => {
    const bytes: number[] = [0xa0 | 'input'.length, ...ascii('input'), 0x84];
    for (const key of ['moveX', 'moveY', 'aim', 'buttons'] as const) {
      bytes.push(0xa0 | key.length, ...ascii(key), ...messagePackInteger(step[key]));
    }
    return Uint8Array.from(bytes);
  });
}

function ascii(text: string): number[] {
  return [...text].map((c) => c.charCodeAt(0));
}

/** -128 to 255. */
function messagePackInteger(value: number): number[] {
  if (value >= 0) return value < 128 ? [value] : [0xcc, value];
  return value >= -32 ? [value & 0xff] : [0xd0, value & 0xff];
}
