/**
 * The arena as a Colyseus room is usually written: the same rules and the same things to see, with `t.number` fields, a
 * `setTimestep` loop, JSON-like messages of which the latest wins, one state for everybody and no views. It has no
 * journal, no metrics, no interest, no limits: whatever those cost is the arena's to justify.
 */
import { type Client, Room } from '@colyseus/core';
import { type SchemaType, schema, t } from '@colyseus/schema';
import { AVATAR_FLAGS } from '../../schema/arena-state.ts';
import type { Entry, SeatEvent, SeatIntent } from '../../src/kernel/simulation.ts';
import type { ArenaIntent } from '../../src/sim/intent.ts';
import { stepWorld } from '../../src/sim/step.ts';
import { type ArenaWorld, createWorld } from '../../src/sim/world.ts';

export const PlainPlayer = schema(
  {
    name: t.string().default(''),
    hp: t.number().default(0),
    x: t.number().default(0),
    y: t.number().default(0),
    vx: t.number().default(0),
    vy: t.number().default(0),
    aim: t.number().default(0),
    shots: t.number().default(0),
    flags: t.number().default(0),
    dash: t.number().default(0),
    ammo: t.number().default(0),
    rockets: t.number().default(0),
    frags: t.number().default(0),
    deaths: t.number().default(0),
    assists: t.number().default(0),
  },
  'PlainPlayer',
);
export type PlainPlayer = SchemaType<typeof PlainPlayer>;

export const PlainRocket = schema(
  {
    seat: t.number().default(0),
    x: t.number().default(0),
    y: t.number().default(0),
    vx: t.number().default(0),
    vy: t.number().default(0),
  },
  'PlainRocket',
);
export type PlainRocket = SchemaType<typeof PlainRocket>;

export const PlainPickup = schema(
  {
    kind: t.number().default(0),
    x: t.number().default(0),
    y: t.number().default(0),
    isTaken: t.boolean().default(false),
  },
  'PlainPickup',
);
export type PlainPickup = SchemaType<typeof PlainPickup>;

export const PlainState = schema(
  {
    phase: t.number().default(0),
    phaseEndsTick: t.number().default(0),
    players: t.map(PlainPlayer),
    rockets: t.map(PlainRocket),
    pickups: t.array(PlainPickup),
  },
  'PlainState',
);
export type PlainState = SchemaType<typeof PlainState>;

/** Given by `defineRoom`, so that clients cannot change them. */
export interface PlainRoomOptions {
  readonly seats: number;
  readonly tickRateHz: number;
  readonly patchRateHz: number;
  /** Sends the whole state as JSON instead of patches. */
  readonly isJson: boolean;
}

/** A day, so that no run sees the end of a match. */
const LIVE_TICKS = 24 * 3600 * 30;
const HOUR_MS = 3_600_000;

interface InputMessage {
  readonly moveX: number;
  readonly moveY: number;
  readonly aim: number;
  readonly buttons: number;
}

export class PlainRoom extends Room<{ state: PlainState }> {
  override state = new PlainState();
  #world!: ArenaWorld;
  readonly #seats = new Map<string, number>();
  readonly #latest = new Map<string, InputMessage>();
  #events: SeatEvent[] = [];
  #ticks = 0;

  override onCreate(options: PlainRoomOptions): void {
    this.maxClients = options.seats;
    this.#world = createWorld({
      seed: 7,
      warmupTicks: 0,
      minPlayers: 1,
      liveTicks: LIVE_TICKS,
      capacity: options.seats,
    });
    for (const { kind, x, y } of this.#world.map.pickups) {
      this.state.pickups.push(new PlainPickup().assign({ kind, x, y }));
    }
    this.onMessage('input', (client: Client, message: InputMessage) => {
      this.#latest.set(client.sessionId, message);
    });
    this.setTimestep(() => this.#step(options), 1000 / options.tickRateHz);
    // With JSON there is nothing to patch; an hour, because switching patches off would change the loop as well.
    this.patchRate = options.isJson ? HOUR_MS : 1000 / options.patchRateHz;
  }

  override onJoin(client: Client, options: { name?: string }): void {
    let seat = 0;
    const taken = new Set(this.#seats.values());
    while (taken.has(seat)) seat++;
    this.#seats.set(client.sessionId, seat);
    const name = String(options.name ?? client.sessionId).slice(0, 20);
    this.#events.push({ kind: 'join', seat, name, playerId: client.sessionId, isBot: false });
    this.state.players.set(client.sessionId, new PlainPlayer().assign({ name }));
  }

  override onLeave(client: Client): void {
    const seat = this.#seats.get(client.sessionId);
    if (seat === undefined) return;
    this.#seats.delete(client.sessionId);
    this.#latest.delete(client.sessionId);
    this.#events.push({ kind: 'leave', seat });
    this.state.players.delete(client.sessionId);
  }

  #step({ isJson, tickRateHz, patchRateHz }: PlainRoomOptions): void {
    const intents: SeatIntent<ArenaIntent>[] = [];
    for (const [sessionId, seat] of this.#seats) {
      const latest = this.#latest.get(sessionId);
      if (latest !== undefined) intents.push({ seat, intent: { ...latest, rewind: 0 } });
    }
    intents.sort((a, b) => a.seat - b.seat);
    const entry: Entry<ArenaIntent> = { tick: this.#world.tick, events: this.#events, intents };
    this.#events = [];
    stepWorld(this.#world, entry);
    for (const kill of this.#world.events.kills) this.broadcast('kill', kill);
    for (const { x, y } of this.#world.events.explosions) this.broadcast('explosion', { x, y });
    this.#show();
    if (isJson && this.#ticks++ % Math.round(tickRateHz / patchRateHz) === 0) {
      this.broadcastBytes('state', Buffer.from(JSON.stringify(this.state)), {});
    }
  }

  /** Setters compare: what did not change costs no byte. */
  #show(): void {
    const world = this.#world;
    this.state.phase = world.phase;
    this.state.phaseEndsTick = world.phaseEndsTick;
    for (const [sessionId, seat] of this.#seats) {
      const player = this.state.players.get(sessionId);
      if (player === undefined || !world.isUsed(seat)) continue;
      player.hp = world.hp(seat);
      player.x = world.x(seat);
      player.y = world.y(seat);
      player.vx = world.vx(seat);
      player.vy = world.vy(seat);
      player.aim = world.aim(seat);
      player.shots = world.shots(seat);
      player.flags =
        (world.isAlive(seat) ? AVATAR_FLAGS.ALIVE : 0) |
        (world.protectedTicks(seat) > 0 ? AVATAR_FLAGS.PROTECTED : 0) |
        (world.isDashing(seat) ? AVATAR_FLAGS.DASHING : 0) |
        AVATAR_FLAGS.CONNECTED;
      player.dash = world.dash(seat);
      player.ammo = world.ammo(seat);
      player.rockets = world.rockets(seat);
      player.frags = world.frags(seat);
      player.deaths = world.deaths(seat);
      player.assists = world.assists(seat);
    }
    const flying = new Set<string>();
    for (let slot = 0; slot < world.rocketSlots; slot++) {
      const id = world.rocketId(slot);
      if (id === 0) continue;
      const key = String(id);
      flying.add(key);
      let rocket = this.state.rockets.get(key);
      if (rocket === undefined) {
        rocket = new PlainRocket().assign({
          seat: world.rocketSeat(slot),
          vx: world.rocketVx(slot),
          vy: world.rocketVy(slot),
        });
        this.state.rockets.set(key, rocket);
      }
      rocket.x = world.rocketX(slot);
      rocket.y = world.rocketY(slot);
    }
    for (const key of [...this.state.rockets.keys()]) if (!flying.has(key)) this.state.rockets.delete(key);
    this.state.pickups.forEach((pickup, index) => {
      pickup.isTaken = world.isTaken(index);
    });
  }
}
