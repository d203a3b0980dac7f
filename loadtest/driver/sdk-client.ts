/** A player over the real SDK: it decodes every patch, as a browser would. */
import type { Room } from '@colyseus/sdk';
import type { TrackStep } from './input-track.ts';
import { addressHeaders, type Player, type PlayerOptions } from './player.ts';
import { AckMeter, frameBytes } from './tally.ts';

// The SDK takes the global WebSocket where there is one. Node's own costs twice the CPU of `ws`, which the SDK falls
// back to, and a load test is about the server.
Reflect.deleteProperty(globalThis, 'WebSocket');
const { Client } = await import('@colyseus/sdk');

const ROOM_STATE = 14;
const ROOM_STATE_PATCH = 15;
const ROOM_DATA_BYTES = 17;
const TIMED = 0x80;
const CODE_MASK = 0x1f;

interface Place {
  /** 1/64 m. */
  readonly x: number;
  readonly y: number;
}

/** What finding the way needs of a state: the arena has avatars by seat, the plain room players by session. */
interface PlacedState {
  readonly avatars?: { get(seat: string): Place | undefined };
  readonly players?: { get(sessionId: string): Place | undefined };
}

interface MessageSource {
  addEventListener(type: 'message', listener: (event: { data: ArrayBuffer }) => void): void;
}

/** Joins and resolves when the server has let the player in. @throws Error saying why not */
export async function joinSdk(options: PlayerOptions): Promise<Player> {
  const { destination, name, roomId } = options;
  const client = new Client(destination.endpoint, { headers: addressHeaders(options) });
  // In Node the SDK keeps the token in a store of the process: without this, every player would be the first one.
  client.auth.token = undefined as unknown as string;
  if (destination.dialect === 'arena') await client.auth.signInAnonymously();
  const room =
    roomId === undefined
      ? await client.joinOrCreate(destination.roomName, { name })
      : roomId === 'create'
        ? await client.create(destination.roomName, { name })
        : await client.joinById(roomId, { name });
  return new SdkPlayer(room, options);
}

class SdkPlayer implements Player {
  readonly roomId: string;
  readonly advertisedRateHz: number;
  readonly #room: Room;
  readonly #options: PlayerOptions;
  #acks: AckMeter;
  readonly #input: { data: Record<string, number>; send(): number } | undefined;
  #step = 0;
  #seat = '';
  #isOpen = true;
  #isLeaving = false;

  constructor(room: Room, options: PlayerOptions) {
    this.#room = room;
    this.#options = options;
    this.#acks = new AckMeter(options.tally);
    this.roomId = room.roomId;
    room.onMessage('*', () => {});
    room.onMessage('welcome', ({ seat }: { seat: number }) => {
      this.#seat = String(seat);
    });
    // As in a game: the SDK comes back by itself where it can. It tells a drop again with every try in vain.
    room.onDrop(() => this.#drop());
    room.onReconnect(() => {
      this.#isOpen = true;
      options.tally.resumed++;
      // The server counts the inputs of a connection.
      this.#acks = new AckMeter(options.tally);
      this.#listen();
    });
    room.onLeave((code, reason) => {
      if (this.#isLeaving) return;
      this.#drop();
      options.tally.lose([code, reason].filter(Boolean).join(' '));
    });
    if (options.destination.dialect === 'arena') {
      const input = room.input<Record<string, number>>();
      this.#input = input;
      this.advertisedRateHz = input.tickRate ?? 0;
    } else this.advertisedRateHz = 0;
    this.#listen();
  }

  #listen(): void {
    const socket = (this.#room.connection.transport as unknown as { ws: MessageSource }).ws;
    socket.addEventListener('message', ({ data }) => this.#received(data));
  }

  #drop(): void {
    if (this.#isOpen && !this.#isLeaving) this.#options.tally.dropped++;
    this.#isOpen = false;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  sendInput(nowMs: number): void {
    const step = this.#nextStep();
    if (this.#input === undefined) {
      this.#room.send('input', step);
    } else {
      const { data } = this.#input;
      data['moveX'] = step.moveX;
      data['moveY'] = step.moveY;
      data['aim'] = step.aim;
      data['buttons'] = step.buttons;
      if (this.#input.send() === 0) return;
    }
    this.#acks.sent(nowMs);
  }

  #nextStep(): TrackStep {
    const { track, gatherer } = this.#options;
    const step = track.steps[this.#step]!;
    this.#step = (this.#step + 1) % track.steps.length;
    if (gatherer === undefined) return step;
    const { avatars, players } = this.#room.state as PlacedState;
    const self = avatars?.get(this.#seat) ?? players?.get(this.#room.sessionId);
    return self === undefined ? step : gatherer.steer(self.x, self.y, step);
  }

  leave(): void {
    this.#isOpen = false;
    this.#isLeaving = true;
    this.#room.reconnection.enabled = false;
    this.#room.leave(true).catch(() => {
      // The socket was gone already, which is what was wanted.
    });
  }

  #received(data: ArrayBuffer): void {
    const { tally } = this.#options;
    tally.frames++;
    tally.bytes += frameBytes(data.byteLength);
    const view = new DataView(data);
    const first = view.getUint8(0);
    const code = first & CODE_MASK;
    if (code === ROOM_STATE || code === ROOM_STATE_PATCH || code === ROOM_DATA_BYTES) tally.patches++;
    if ((first & TIMED) !== 0 && data.byteLength >= 9) this.#acks.acked(view.getUint32(5, true), performance.now());
  }
}
