"""What a person sees: colours, figures, text. Nothing is computed here."""
