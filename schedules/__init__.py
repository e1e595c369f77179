"""The scheduler and its ticks, the rehearsal, and the programmes, cadences and surveys as data. The top floor."""
