// Small parts that the others are made of.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const PATHS = {
  search: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2m4 9 3.5 3.5",
  clock: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 4.5V8l2.4 1.6",
  left: "m10 3-5 5 5 5",
  right: "m6 3 5 5-5 5",
  down: "m3 6 5 5 5-5",
  out: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2m4 9 3.5 3.5M4.8 7h4.4",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  close: "m4 4 8 8m0-8-8 8",
  play: "M5 3v10l8-5z",
  pause: "M5 3v10M11 3v10",
  columns: "M2 3h12v10H2zM6 3v10M10 3v10",
  wrap: "M2 4h12M2 8h9.5a2.2 2.2 0 0 1 0 4.4H8M10 10.4l-2 2 2 2M2 12.4h3",
  link: "M6.5 9.5 9.5 6.5M7.5 4.5l1.8-1.8a2.8 2.8 0 0 1 4 4l-1.8 1.8M8.5 11.5l-1.8 1.8a2.8 2.8 0 0 1-4-4l1.8-1.8",
  save: "M8 2v8m-3-3 3 3 3-3M2.5 13.5h11",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5m0 11V15M1 8h1.5m11 0H15M3 3l1 1m8 8 1 1m0-10-1 1m-8 8-1 1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z",
  help: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2C8.4 8.6 8 9 8 10m0 2.6v.2",
  auto: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  list: "M2 4h12M2 8h12M2 12h8",
  context: "M2 3h12M2 13h12M2 8h12M4.5 5.5 2 8l2.5 2.5",
  copy: "M5 5h8v9H5zM3 11V2h8",
  patterns: "M2 4h5M10 4h4M2 8h2M7 8h7M2 12h8M13 12h1",
  table: "M2 3h12v10H2zM2 6.5h12M6.5 6.5V13",
  chart: "M2 14V9m4 5V4m4 10V7m4 7V2",
  warn: "M8 2 1.5 13.5h13zM8 6.5v3.5m0 1.6v.2",
};
export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);

type ButtonProps = {
  icon?: IconName;
  label: string;
  tip?: string;
  on?: boolean;
  children?: ComponentChildren;
} & Omit<JSX.IntrinsicElements["button"], "icon" | "label">;

// A button with an icon; the label is read aloud and shown as a tip where there is no text.
export function Button({ icon, label, tip, on, children, class: name, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      class={`button ${children ? "" : "bare"} ${on ? "on" : ""} ${name ?? ""}`}
      title={tip ?? label}
      aria-label={children ? undefined : label}
      aria-pressed={on === undefined ? undefined : on}
      {...rest}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

// A panel below its button. Escape, a click elsewhere and moving the focus out of it close it.
export function Menu(props: {
  icon?: IconName;
  label: string;
  text?: ComponentChildren;
  class?: string;
  id?: string;
  children: (close: () => void) => ComponentChildren;
}) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    box.current!.querySelector<HTMLElement>(".panel [data-focus], .panel button, .panel input")?.focus();
    const outside = (e: Event) => {
      if (!box.current!.contains(e.target as Node)) setOpen(false);
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector<HTMLElement>("button")?.focus();
  };
  return (
    <div
      class={`menu ${props.class ?? ""}`}
      ref={box}
      onKeyDown={e => {
        if (e.key === "Escape" && open) {
          e.stopPropagation();
          close();
        }
      }}
    >
      <Button
        icon={props.icon}
        label={props.label}
        id={props.id}
        aria-haspopup="dialog"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {props.text}
      </Button>
      {open && (
        <div class="panel" role="dialog" aria-label={props.label}>
          {props.children(close)}
        </div>
      )}
    </div>
  );
}

// A window over the page. The browser's dialog keeps the focus inside and closes on Escape.
export function Sheet(props: {
  title: string;
  class?: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current!.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`sheet ${props.class ?? ""}`}
      aria-label={props.title}
      onClose={props.onClose}
      onClick={e => {
        if (e.target === dialog.current) dialog.current!.close();
      }}
    >
      <div class="sheet-in">
        <header>
          <h2>{props.title}</h2>
          <Button icon="close" label="Close" onClick={() => dialog.current!.close()} />
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

// Text with what was looked for marked.
export function Marked({ text, marks }: { text: string; marks: RegExp | null }) {
  if (!marks || text.length > 20000) return <>{text}</>;
  return <>{text.split(marks).map((part, i) => (i % 2 ? <mark>{part}</mark> : part))}</>;
}

export const count = (n: number) => n.toLocaleString("en");

export const short = (n: number) =>
  n < 10000
    ? count(n)
    : n < 1e6
      ? `${+(n / 1e3).toFixed(n < 1e5 ? 1 : 0)}k`
      : n < 1e9
        ? `${+(n / 1e6).toFixed(n < 1e8 ? 1 : 0)}M`
        : `${+(n / 1e9).toFixed(1)}G`;

export const percent = (share: number) => `${share >= 0.01 ? Math.floor(share * 100) : "<1"}%`;

export const plural = (n: number, one: string, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
