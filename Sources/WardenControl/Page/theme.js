// Before anything is drawn, or the page would flash in the other theme: a plain script, not a module.
{
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
