/** What the screens of the hall have in common. */
import { element } from '../hud/element.ts';
import type { Api } from '../net/api.ts';
import type { Finder } from '../net/finder.ts';
import { sentenceOf } from '../net/sentences.ts';
import type { Session } from '../net/session.ts';

export interface ViewContext {
  readonly api: Api;
  readonly session: Session;
  readonly finder: Finder;
  /** Aborts when the screen is left. */
  readonly signal: AbortSignal;
  /** Words of the address behind the screen's name: of `#boards/weekly/friends` these are `weekly`, `friends`. */
  readonly words: readonly string[];
}

/** Fills the body of the hall; the first thing in it is its heading. */
export type View = (body: HTMLElement, context: ViewContext) => void;

export function heading(text: string): HTMLElement {
  return element('h2', { text, tabindex: '-1' });
}

export function line(text: string): HTMLElement {
  return element('p', { class: 'hall-line', text });
}

/**
 * A part of a screen that has to be asked for: says that it loads, then shows it, or says why not and offers another
 * try.
 */
export function loaded<T>(
  signal: AbortSignal,
  what: string,
  ask: () => Promise<T>,
  show: (answer: T) => readonly (Node | string)[],
): HTMLElement {
  const root = element('div', { class: 'hall-part' });
  const load = async (): Promise<void> => {
    root.setAttribute('aria-busy', 'true');
    root.replaceChildren(element('p', { class: 'hall-line', role: 'status', text: `Loading ${what} …` }));
    try {
      const answer = await ask();
      if (!signal.aborted) root.replaceChildren(...show(answer));
    } catch (error) {
      if (signal.aborted) return;
      const again = element('button', { class: 'button-plain', type: 'button', text: 'Try again' });
      again.addEventListener('click', () => void load());
      root.replaceChildren(element('p', { class: 'hall-error', role: 'alert', text: sentenceOf(error) }), again);
    } finally {
      root.removeAttribute('aria-busy');
    }
  };
  void load();
  return root;
}

/** Runs a command from a button; says under `at` what it failed with. */
export function actionButton(text: string, run: () => Promise<void>, label = text): HTMLElement {
  const button = element('button', { class: 'button-plain', type: 'button', text, 'aria-label': label });
  const root = element('span', { class: 'hall-action' }, [button]);
  button.addEventListener('click', async () => {
    button.disabled = true;
    root.querySelector('[role=alert]')?.remove();
    try {
      await run();
    } catch (error) {
      root.append(element('span', { class: 'hall-error', role: 'alert', text: sentenceOf(error) }));
    } finally {
      button.disabled = false;
    }
  });
  return root;
}

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: 'email' | 'password' | 'text' | 'number';
  readonly autocomplete: string;
  readonly value?: string;
  readonly hint?: string;
  readonly isOptional?: boolean;
}

let formsMade = 0;

/** A labelled form. `run` gets the trimmed values; what it throws is said above the button, in a sentence. */
export function form(
  title: string,
  fields: readonly Field[],
  button: string,
  run: (values: Readonly<Record<string, string>>) => Promise<string>,
): HTMLElement {
  const id = `hall-form-${++formsMade}`;
  const said = element('p', { class: 'hall-said' });
  const submit = element('button', { class: 'button-main', type: 'submit', text: button });
  const inputs = fields.map((field) =>
    element('input', {
      id: `${id}-${field.name}`,
      name: field.name,
      type: field.type,
      value: field.value ?? '',
      autocomplete: field.autocomplete as 'on',
      ...(field.isOptional ? {} : { required: '' }),
      ...(field.hint === undefined ? {} : { 'aria-describedby': `${id}-${field.name}-hint` }),
    }),
  );
  const root = element('form', { class: 'hall-form', 'aria-labelledby': `${id}-title` }, [
    element('h3', { id: `${id}-title`, text: title }),
    ...fields.flatMap((field, index) => [
      element('label', { for: `${id}-${field.name}`, text: field.label }),
      inputs[index]!,
      ...(field.hint === undefined
        ? []
        : [element('p', { class: 'hall-hint', id: `${id}-${field.name}-hint`, text: field.hint })]),
    ]),
    said,
    submit,
  ]);
  said.hidden = true;
  const say = (text: string, isError: boolean): void => {
    said.className = isError ? 'hall-error' : 'hall-said';
    said.setAttribute('role', isError ? 'alert' : 'status');
    said.textContent = text;
    said.hidden = text === '';
  };
  root.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    say('', false);
    try {
      const values = inputs.map((input) => [input.name, input.type === 'password' ? input.value : input.value.trim()]);
      say(await run(Object.fromEntries(values)), false);
    } catch (error) {
      say(sentenceOf(error), true);
    } finally {
      submit.disabled = false;
    }
  });
  return root;
}

/** A table with a caption for those who cannot see where it stands. */
export function table(
  caption: string,
  columns: readonly (readonly [title: string, isNumber: boolean])[],
  rows: readonly { readonly cells: readonly (Node | string)[]; readonly isOwn?: boolean }[],
): HTMLTableElement {
  const kind = (at: number): Record<string, string> => (columns[at]![1] ? { class: 'number' } : {});
  return element('table', { class: 'hall-table' }, [
    element('caption', { class: 'for-ears', text: caption }),
    element('thead', {}, [
      element(
        'tr',
        {},
        columns.map(([text], at) => element('th', { scope: 'col', text, ...kind(at) })),
      ),
    ]),
    element(
      'tbody',
      {},
      rows.map(({ cells, isOwn }) =>
        element(
          'tr',
          isOwn ? { class: 'is-own' } : {},
          cells.map((cell, at) => element('td', kind(at), [cell])),
        ),
      ),
    ),
  ]);
}

/** A row of links of which one is where we are. */
export function tabs(
  label: string,
  links: readonly (readonly [href: string, text: string, isHere: boolean])[],
): HTMLElement {
  return element(
    'nav',
    { class: 'hall-tabs', 'aria-label': label },
    links.map(([href, text, isHere]) => element('a', { href, text, ...(isHere ? { 'aria-current': 'page' } : {}) })),
  );
}

/** The name as a link to the player's page. */
export function playerLink(playerId: string, name: string | null | undefined): HTMLElement {
  return element('a', { href: `#player/${playerId}`, text: name || 'A player without a name' });
}

export function dateOf(atMs: number): string {
  return new Date(atMs).toLocaleDateString(undefined, { dateStyle: 'medium' });
}

export function momentOf(atMs: number): string {
  return new Date(atMs).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}
