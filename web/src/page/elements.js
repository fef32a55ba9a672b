// The few things that both scripts do with the page.

export const byId = (id) => document.getElementById(id);

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/// Again and again; a page that nobody looks at asks nothing.
export async function whileSeen(ask, everyMs) {
  for (;;) {
    if (document.hidden) {
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      continue;
    }
    await ask();
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
