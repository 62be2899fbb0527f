// Before the first paint: the theme that was chosen here, if any.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("yakt-theme");
  } catch {
    /* no storage: as the system has it */
  }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
