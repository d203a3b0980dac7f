import assert from 'node:assert/strict';
import { ArenaProjection } from '../../rooms/arena-projection.ts';
import type { Player } from '../../rooms/game-room.ts';
import { ArenaState, type Avatar } from '../../schema/arena-state.ts';
import type { SeatEvent } from '../../src/kernel/simulation.ts';
import type { TrackOptions } from '../../src/match/interest-plugin.ts';
import { arena } from '../../src/sim/arena.ts';

const join = (seat: number, name = 'Aelia'): SeatEvent => ({
  kind: 'join',
  seat,
  name,
  playerId: `a-${name}`,
  isBot: false,
});

/** The projection of a world of two seats, and what it says to interest. */
class Stage {
  readonly world = arena.create({ seed: 1, capacity: 2 });
  readonly state = new ArenaState();
  readonly owners = new Map<unknown, string | undefined>();
  readonly observers = new Map<string, unknown>();
  /** Session in seat 0, as the room has it; whether it has a connection. */
  sessionId = 'first';
  isConnected = true;
  readonly projection: ArenaProjection;
  #tick = 0;

  constructor() {
    const { owners, observers } = this;
    this.projection = new ArenaProjection(
      this.state,
      this.world,
      {
        track: (entity, { owner }: TrackOptions = {}) => void owners.set(entity, owner),
        untrack: (entity) => void owners.delete(entity),
        move: () => {},
        ownerOf: (entity) => owners.get(entity) ?? '',
        observe: ({ sessionId }, entity) => void observers.set(sessionId, entity),
      },
      {
        isConnected: () => this.isConnected,
        rttMs: () => 0,
        sessionId: () => this.sessionId,
        client: () => (this.isConnected ? this.client : undefined),
      },
    );
  }

  get client(): Player {
    return { sessionId: this.sessionId } as Player;
  }

  step(...events: SeatEvent[]): Avatar {
    arena.step(this.world, { tick: this.#tick, events, intents: [] });
    this.projection.update(this.#tick++);
    return this.state.avatars.get('0')!;
  }
}

describe('what players see of the arena', () => {
  it('an avatar is its player’s also when that lost its connection before the avatar was there', () => {
    const stage = new Stage();
    stage.isConnected = false;
    const avatar = stage.step(join(0));
    assert.equal(stage.owners.get(avatar), 'first', 'or it would never see its own ammunition and velocity');
    stage.isConnected = true;
    stage.projection.follow(stage.client, 0);
    assert.equal(stage.observers.get('first'), avatar);
  });

  it('a seat that one player leaves and another of the same name takes in one tick is another avatar', () => {
    const stage = new Stage();
    const before = stage.step(join(0));
    stage.sessionId = 'second';
    const after = stage.step({ kind: 'leave', seat: 0 }, join(0));
    assert.notEqual(after, before);
    assert.deepEqual([stage.owners.get(before), stage.owners.get(after)], [undefined, 'second']);
    assert.equal(stage.observers.get('second'), after);
  });

  it('an avatar stays the same one while its player does', () => {
    const stage = new Stage();
    const avatar = stage.step(join(0));
    stage.isConnected = false;
    assert.equal(stage.step(), avatar);
    stage.isConnected = true;
    assert.equal(stage.step(), avatar);
  });
});
