// Before anything is drawn: the theme and the language that were chosen here before.
(() => {
  const root = document.documentElement;
  const kept = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // A browser may forbid it; then nothing was chosen.
    }
  };
  const theme = kept("z2api-theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const wanted = kept("z2api-language") ?? navigator.language ?? "en";
  root.lang = wanted.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
})();
